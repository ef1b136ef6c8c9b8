/* Chapter 2: the stream header, units, and the footer. */
#include "internal.h"

enum { HEAD_BYTES = 20 }; /* unit_type, unit_length, and a leb128 of the payload */

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Bytes of the stream that lie in it; they are valid until the next call. */
Status nv_load(nvrc_decoder *d, uint64_t offset, uint64_t size, const uint8_t **bytes) {
  if (d->data) {
    *bytes = d->data + offset;
    return 0;
  }
  if (!d->buffer || size > d->buffer_size) {
    nv_release(d, SCOPE_BUFFER);
    d->buffer_size = 0;
    if (!(d->buffer = nv_take(d, SCOPE_BUFFER, size, 1))) return 1;
    d->buffer_size = size;
  }
  if (size > 0 && d->source.read(d->source.user, offset, d->buffer, (size_t)size)) return nv_no_data(d, offset);
  *bytes = d->buffer;
  return 0;
}

/* A reader of at most `most` bytes from `offset` on. */
static Status load_reader(nvrc_decoder *d, uint64_t offset, uint64_t most, Reader *r) {
  *r = (Reader){d, NULL, offset, offset, 0, 0};
  r->end = offset + smaller(most, d->source.size - offset);
  return nv_load(d, offset, r->end - offset, &r->bytes);
}

/* 2.2 */
static Status stream_header(nvrc_decoder *d) {
  static const uint8_t magic[8] = {0x89, 0x4e, 0x56, 0x52, 0x43, 0x0d, 0x0a, 0x1a};
  Reader r;
  const uint8_t *given;
  uint64_t version, minor;
  TRY(load_reader(d, 0, 10, &r));
  uint64_t size = smaller(d->source.size, sizeof magic);
  TRY(nv_bytes(&r, size, &given));
  if (memcmp(given, magic, (size_t)size) != 0) return nv_fail(d, 0, R2_1);
  TRY(nv_uint(&r, 1, &version));
  TRY(nv_uint(&r, 1, &minor));
  if (version != 4) return nv_fail(d, 8, R2_2); /* 9.1.1: after both bytes */
  d->at.pos = r.pos;
  return 0;
}

/* 2.3: finds where the unit at pos begins and ends, and sees that it lies inside the stream. Of its payload, the reader
 * has as many bytes as a leb128 may take. */
Status nv_find_unit(nvrc_decoder *d, uint64_t pos, Reader *payload) {
  Unit *unit = &d->at.unit;
  const nvrc_limits *limits = &d->options.limits;
  uint64_t type, length;
  *unit = (Unit){0, pos, 0, 0};
  TRY(load_reader(d, pos, HEAD_BYTES, payload));
  TRY(nv_uint(payload, 1, &type));
  unit->type = (int)type;
  TRY(nv_leb128(payload, &length));
  if (length > limits->unit_bytes || (type == 0x81 && length > limits->metadata_bytes))
    return nv_over_limit(d, pos, "unit_length is within the limit of this decoder");
  unit->payload = payload->pos;
  if (d->source.size - unit->payload < 4 || d->source.size - unit->payload - 4 < length) return nv_fail(d, pos, R2_3);
  unit->end = unit->payload + length;
  payload->end = unit->end;
  payload->in_payload = 1;
  return 0;
}

/* 2.3: reads the next unit; whether its type is known comes after its crc and before the order of units (9.1.1). */
Status nv_next_unit(nvrc_decoder *d, Reader *payload) {
  Reader crc;
  uint64_t expected;
  TRY(nv_find_unit(d, d->at.pos, payload));
  const Unit *u = &d->at.unit;
  TRY(load_reader(d, u->offset, u->end + 4 - u->offset, &crc));
  *payload = (Reader){d, crc.bytes, u->offset, u->payload, u->end, 1};
  crc.pos = u->end;
  TRY(nv_uint(&crc, 4, &expected));
  if (nv_crc32(crc.bytes, (size_t)(u->end - u->offset)) != expected) return nv_fail(d, u->offset, R2_4);
  if (nv_unknown(u->type)) return nv_fail(d, u->offset, R2_5);
  d->at.pos = crc.pos;
  return 0;
}

void nv_unit_done(nvrc_decoder *d) {
  d->at.unit_count[d->at.unit.type]++;
  memset(&d->at.unit, 0, sizeof d->at.unit);
}

/* 2.6, 2.7 */
Status nv_end_of_stream(nvrc_decoder *d) {
  static const uint8_t footer_magic[4] = {0x4e, 0x56, 0x52, 0x58};
  Reader r;
  uint64_t offset, start = d->at.pos;
  const uint8_t *magic;
  TRY(load_reader(d, start, FOOTER_BYTES, &r));
  if (d->at.index_offset) {
    TRY(nv_uint(&r, 8, &offset));
    if (offset != d->at.index_offset) return nv_fail(d, start, R2_16);
    TRY(nv_bytes(&r, 4, &magic));
    if (memcmp(magic, footer_magic, 4) != 0) return nv_fail(d, r.pos - 4, R2_17);
  }
  if (r.pos != d->source.size) return nv_fail(d, r.pos, R2_14);
  d->at.ended = 1;
  return 0;
}

Status nv_open_stream(nvrc_decoder *d) {
  Reader payload;
  TRY(stream_header(d));
  TRY(nv_next_unit(d, &payload));
  if (d->at.unit.type != 0x01) return nv_fail(d, d->at.unit.offset, R2_8);
  TRY(nv_read_sequence(&payload));
  nv_unit_done(d);
  d->units_start = d->at.pos;
  return 0;
}
