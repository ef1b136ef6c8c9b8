/* 2.8: random access, and METADATA by key. */
#include "internal.h"

/* The place after SEQUENCE. */
void nv_begin_units(nvrc_decoder *d) {
  memset(&d->at, 0, sizeof d->at);
  d->at.pos = d->units_start;
  d->at.unit_count[0x01] = 1;
}

/* The GOP that has a frame of the stream. */
static uint64_t find_gop(const Table *table, uint64_t frame) {
  uint64_t n = 0, beyond = table->count;
  while (beyond - n > 1) {
    uint64_t middle = (n + beyond) / 2;
    if (table->entry[middle].first_frame <= frame)
      n = middle;
    else
      beyond = middle;
  }
  return n;
}

/* R2.15: an entry leads to a unit of this type. */
static Status leads_to(nvrc_decoder *d, uint64_t offset, int type) {
  const uint8_t *byte;
  d->at.unit = (Unit){0x82, d->table.index_offset, 0, 0};
  if (offset < d->units_start || offset >= d->source.size) return nv_fail(d, d->table.index_offset, R2_15);
  TRY(nv_load(d, offset, 1, &byte));
  if (*byte != type) return nv_fail(d, d->table.index_offset, R2_15);
  d->at.pos = offset;
  return 0;
}

/* 2.8: the unit after a GOP is checked before the frames. It is read again after them. */
static Status check_next(nvrc_decoder *d) {
  Place place = d->at;
  Reader payload;
  const uint8_t *digest;
  TRY(nv_next_unit(d, &payload));
  if (d->at.unit.type != 0x04) return nv_fail(d, d->at.unit.offset, R2_10);
  TRY(nv_read_digest(&payload, &digest));
  d->at = place;
  return 0;
}

/* 2.8, step 3: reads GOP n, and the NETWORK in force for it unless it is the last one that was read. */
static Status use_entry(nvrc_decoder *d, uint64_t n) {
  const Entry *e = &d->table.entry[n];
  Reader payload;
  nv_begin_units(d);
  for (uint64_t i = 1; i <= n; i++)
    if (d->table.entry[i].network_offset != d->table.entry[i - 1].network_offset) d->at.unit_count[0x02]++;
  d->at.unit_count[0x03] = d->at.unit_count[0x04] = n;
  d->at.frames = e->first_frame;
  TRY(leads_to(d, e->network_offset, 0x02));
  if (!d->network.in_force || d->network.offset != e->network_offset) {
    TRY(nv_next_unit(d, &payload));
    TRY(nv_read_network(&payload));
  }
  d->at.unit_count[0x02]++;
  d->at.network = e->network_offset;
  TRY(leads_to(d, e->offset, 0x03));
  TRY(nv_next_unit(d, &payload));
  TRY(nv_read_gop(&payload));
  nv_unit_done(d);
  return check_next(d);
}

/* Begins at a frame of the GOP that has been read. */
static void enter_gop(nvrc_decoder *d, int64_t frame) {
  d->gop.next_frame = frame;
  d->gop.whole = frame == 0;
  nv_sha256_init(&d->gop.sha);
  memset(d->gop.stage, 0, sizeof d->gop.stage);
}

nvrc_status nvrc_seek(nvrc_decoder *d, uint64_t frame, nvrc_error *error) {
  int usable = d->gop.active && !d->failed;
  d->failed = 0;
  if (nv_complete_table(d)) {
    *error = d->error;
    return NVRC_ERROR;
  }
  if (frame >= d->table.frames) {
    d->at.ended = 1;
    return NVRC_END;
  }
  uint64_t n = find_gop(&d->table, frame);
  d->at.ended = 0;
  if (!usable || d->at.unit_count[0x03] != n + 1) {
    d->gop.active = 0;
    nv_release(d, SCOPE_GRID);
    nv_release(d, SCOPE_GOP);
    if (use_entry(d, n)) {
      *error = d->error;
      return NVRC_ERROR;
    }
  }
  enter_gop(d, (int64_t)(frame - d->table.entry[n].first_frame));
  return NVRC_OK;
}

nvrc_status nvrc_count(nvrc_decoder *d, uint64_t *frames, uint64_t *gops, nvrc_error *error) {
  int failed = d->failed;
  nvrc_error before = d->error;
  Status fault = nv_complete_table(d);
  if (fault) *error = d->error;
  d->error = before;
  d->failed = failed;
  if (fault) return NVRC_ERROR;
  *frames = d->table.frames;
  *gops = d->table.count;
  return NVRC_OK;
}

nvrc_status nvrc_get_gop(nvrc_decoder *d, uint64_t gop, uint64_t *offset, uint64_t *first_frame, nvrc_error *error) {
  uint64_t frames, gops;
  if (nvrc_count(d, &frames, &gops, error) == NVRC_ERROR) return NVRC_ERROR;
  if (gop >= gops) return NVRC_END;
  *offset = d->table.entry[gop].offset;
  *first_frame = d->table.entry[gop].first_frame;
  return NVRC_OK;
}

/* Goes on to the next entry under `key`, or to any; leaves *found 0 at END. */
static Status next_entry(nvrc_decoder *d, const char *key, nvrc_metadata *entry, int *found) {
  Reader payload;
  nv_begin_units(d);
  if (entry->next) d->at.pos = entry->next;
  d->at.frames = entry->first_frame;
  for (;;) {
    TRY(nv_find_unit(d, d->at.pos, &payload));
    if (d->at.unit.type == 0x05) return 0;
    if (d->at.unit.type != 0x81) {
      TRY(nv_hop(d, NULL));
      continue;
    }
    TRY(nv_next_unit(d, &payload));
    TRY(nv_read_metadata(&payload, entry));
    if (!key || (strlen(key) == entry->key_size && memcmp(key, entry->key, entry->key_size) == 0)) break;
    nv_unit_done(d);
  }
  entry->first_frame = d->at.frames;
  entry->next = d->at.pos;
  *found = 1;
  return 0;
}

nvrc_status nvrc_next_metadata(nvrc_decoder *d, const char *key, nvrc_metadata *entry, nvrc_error *error) {
  Place place = d->at;
  nvrc_error before = d->error;
  int failed = d->failed, found = 0;
  Status fault = next_entry(d, key, entry, &found);
  if (fault) *error = d->error;
  d->at = place;
  d->error = before;
  d->failed = failed;
  return fault ? NVRC_ERROR : found ? NVRC_OK : NVRC_END;
}
