/* Chapter 2: the container; and the public functions, which follow the order of units (2.5). */
#include "internal.h"

#include <stdlib.h>

static void *default_allocate(void *user, size_t size) {
  (void)user;
  return malloc(size);
}

static void default_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static Status order(nvrc_decoder *d, int condition, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(d, "E_ORDER", d->unit.offset, "2.5", requirement, sentence);
}

/* 2.2 */
static Status stream_header(nvrc_decoder *d) {
  static const uint8_t magic[8] = {0x89, 0x4e, 0x56, 0x52, 0x43, 0x0d, 0x0a, 0x1a};
  Reader r = {d, 0, d->size, 0, "2.2"};
  uint64_t version, minor;
  size_t given = d->size < 8 ? (size_t)d->size : 8;
  if (memcmp(d->data, magic, given) != 0)
    return nv_fail(d, "E_MAGIC", 0, "2.2", "R2.1", "magic is 89 4E 56 52 43 0D 0A 1A");
  r.pos = given;
  if (given < 8) return nv_uint(&r, 1, &version); /* fails: the stream ends */
  TRY(nv_uint(&r, 1, &version));
  TRY(nv_uint(&r, 1, &minor));
  if (version != 3) return nv_fail(d, "E_VERSION", 8, "2.2", "R2.2", "version is 3"); /* 9.1.1: after both bytes */
  d->pos = d->units_start = r.pos;
  return 0;
}

/* 2.3: finds where the unit at pos begins and ends, and sees that it lies inside the stream. */
Status nv_find_unit(nvrc_decoder *d, uint64_t pos, Unit *unit) {
  Reader r = {d, pos, d->size, 0, "2.3"};
  uint64_t type, length;
  unit->offset = pos;
  unit->type = 0;
  TRY(nv_uint(&r, 1, &type));
  unit->type = (int)type;
  TRY(nv_leb128(&r, &length));
  if (length > d->limits.unit_bytes || (type == 0x81 && length > d->limits.metadata_bytes))
    return nv_fail(d, "E_LIMIT", pos, "9.3", "", "unit_length is within the limit of this decoder");
  unit->payload = r.pos;
  if (d->size - r.pos < 4 || d->size - r.pos - 4 < length)
    return nv_fail(d, "E_TRUNCATED", pos, "2.3", "R2.3", "the stream does not end within a unit");
  unit->end = r.pos + length;
  return 0;
}

/* 2.3: reads the next unit; whether its type is known comes after its crc and before the order of units (9.1.1). */
static Status next_unit(nvrc_decoder *d, Reader *payload) {
  uint64_t crc;
  memset(&d->unit, 0, sizeof d->unit);
  d->unit.offset = d->pos;
  TRY(nv_find_unit(d, d->pos, &d->unit));
  Unit *u = &d->unit;
  Reader r = {d, u->end, d->size, 0, "2.3"};
  TRY(nv_uint(&r, 4, &crc));
  if (nv_crc32(d->data + u->offset, (size_t)(u->end - u->offset)) != crc)
    return nv_fail(d, "E_CRC", u->offset, "2.3", "R2.4", "crc is the CRC-32 of its unit");
  if (u->type == 0 || (u->type > 0x05 && u->type < 0x80))
    return nv_fail(d, "E_UNSUPPORTED", u->offset, "2.3", "R2.5", "every critical unit_type is known");
  payload->d = d;
  payload->pos = u->payload;
  payload->end = u->end;
  payload->in_payload = 1;
  payload->section = "3.1";
  d->pos = r.pos;
  return 0;
}

static void unit_done(nvrc_decoder *d) {
  d->unit_count[d->unit.type]++;
  memset(&d->unit, 0, sizeof d->unit);
}

/* 2.6, 2.7 */
static Status end_of_stream(nvrc_decoder *d) {
  static const uint8_t footer_magic[4] = {0x4e, 0x56, 0x52, 0x58};
  Reader r = {d, d->pos, d->size, 0, "2.7"};
  uint64_t offset, magic;
  if (d->index_offset) {
    TRY(nv_uint(&r, 8, &offset));
    if (offset != d->index_offset)
      return nv_fail(d, "E_FOOTER", d->pos, "2.7", "R2.16", "index_offset is the offset of the INDEX unit");
    TRY(nv_uint(&r, 4, &magic));
    if (memcmp(d->data + r.pos - 4, footer_magic, 4) != 0)
      return nv_fail(d, "E_FOOTER", r.pos - 4, "2.7", "R2.17", "footer_magic is 4E 56 52 58");
  }
  if (r.pos != d->size)
    return nv_fail(d, "E_TRAILING", r.pos, "2.6", "R2.14", "nothing follows END, or the footer where there is one");
  d->ended = 1;
  return 0;
}

/* 2.5: one unit after the first. After a GOP its frames are due; a DIGEST comes after them. */
static Status read_unit(nvrc_decoder *d) {
  Reader payload;
  TRY(next_unit(d, &payload));
  int type = d->unit.type;
  TRY(order(d, type != 0x01, "R2.8", "the first unit is a SEQUENCE and no other is"));
  TRY(order(d, (type == 0x04) == d->gop.active, "R2.10",
            "the unit after each GOP is a DIGEST, and a DIGEST stands nowhere else"));
  TRY(order(d, type == 0x05 || d->index_offset == 0, "R2.11", "the unit after an INDEX is END"));
  switch (type) {
    case 0x02: TRY(nv_read_network(&payload)); break;
    case 0x03:
      TRY(order(d, d->network.in_force, "R2.9", "a NETWORK comes before the first GOP"));
      TRY(nv_read_gop(&payload));
      break;
    case 0x04:
      TRY(nv_check_digest(&payload));
      d->gop.active = 0;
      nv_release(d, SCOPE_GOP);
      break;
    case 0x05:
      TRY(order(d, d->unit_count[0x03] > 0, "R2.12", "at least one GOP comes before END"));
      TRY(nv_read_end(&payload));
      break;
    case 0x81: TRY(nv_read_metadata(&payload)); break;
    case 0x82:
      TRY(nv_read_index(&payload));
      d->index_offset = d->unit.offset;
      break;
    default: /* optional and unknown: skipped */ break;
  }
  unit_done(d);
  return type == 0x05 ? end_of_stream(d) : 0;
}

static Status open_stream(nvrc_decoder *d) {
  Reader payload;
  TRY(stream_header(d));
  TRY(next_unit(d, &payload));
  TRY(order(d, d->unit.type == 0x01, "R2.8", "the first unit is a SEQUENCE and no other is"));
  TRY(nv_read_sequence(&payload));
  unit_done(d);
  return 0;
}

nvrc_decoder *nvrc_open(const uint8_t *data, size_t size, const nvrc_limits *limits, const nvrc_allocator *allocator,
                        nvrc_error *error) {
  nvrc_allocator chosen = {default_allocate, default_release, NULL};
  if (allocator) chosen = *allocator;
  nvrc_decoder *d = chosen.allocate(chosen.user, sizeof *d);
  if (!d) {
    nvrc_error memory = {NVRC_LIMIT, "E_MEMORY", 0, "stream", 0, "", "9.2", "there is enough memory"};
    *error = memory;
    return NULL;
  }
  memset(d, 0, sizeof *d);
  d->allocator = chosen;
  d->limits = limits ? *limits : nvrc_default_limits();
  d->data = data;
  d->size = size;
  if (open_stream(d)) {
    *error = d->error;
    nvrc_close(d);
    return NULL;
  }
  return d;
}

const nvrc_sequence *nvrc_get_sequence(const nvrc_decoder *decoder) { return &decoder->sequence; }

nvrc_status nvrc_decode(nvrc_decoder *d, nvrc_frame *frame, nvrc_error *error) {
  Gop *gop = &d->gop;
  while (!d->failed && !d->ended && (!gop->active || gop->next_frame == gop->frame_count)) {
    if (read_unit(d)) break;
  }
  if (d->failed) {
    *error = d->error;
    return NVRC_ERROR;
  }
  if (d->ended) return NVRC_END;
  nv_synthesise(d, gop->next_frame++);
  nv_reconstruct(d);
  frame->bytes = gop->raw;
  frame->size = gop->raw_size;
  return NVRC_FRAME;
}

void nvrc_close(nvrc_decoder *d) {
  nvrc_allocator allocator = d->allocator;
  for (int scope = 0; scope < NUM_SCOPES; scope++) nv_release(d, (Scope)scope);
  allocator.release(allocator.user, d);
}
