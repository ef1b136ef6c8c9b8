/* 2.7, 2.8, 3.7: where the GOPs are. */
#include "internal.h"

Status nv_add_gop(nvrc_decoder *d, Table *table, const Entry *entry) {
  if (table->count >= d->options.limits.gops)
    return nv_over_limit(d, d->at.unit.offset, "the number of GOPs is within the limit of this decoder");
  if (table->count == table->capacity) {
    uint64_t capacity = table->capacity ? 2 * table->capacity : 64;
    Entry *larger = nv_take(d, table->scope, capacity, sizeof *larger);
    if (!larger) return 1;
    if (table->count) memcpy(larger, table->entry, (size_t)table->count * sizeof *larger);
    table->entry = larger; /* the smaller ones are freed with the scope: together they are no larger */
    table->capacity = capacity;
  }
  table->entry[table->count++] = *entry;
  return 0;
}

static int same(const Entry *a, const Entry *b) {
  return a->offset == b->offset && a->first_frame == b->first_frame && a->network_offset == b->network_offset;
}

/* The GOP that has been read: a new entry, or (R2.15) what its entry says. */
Status nv_note_gop(nvrc_decoder *d, uint64_t frame_count) {
  Table *table = &d->table;
  uint64_t n = d->at.unit_count[0x03];
  const Entry entry = {d->at.unit.offset, d->at.frames, d->at.network};
  if (!table->complete && n == table->count) return nv_add_gop(d, table, &entry);
  if (n >= table->count || !same(&table->entry[n], &entry)) return nv_fail(d, d->at.unit.offset, R2_15);
  uint64_t next = n + 1 < table->count ? table->entry[n + 1].first_frame : table->frames;
  if (table->complete && next - entry.first_frame != frame_count) return nv_fail(d, d->at.unit.payload, R2_15);
  return 0;
}

/* R3.36 */
static int follows(const Entry *e, const Entry *before) {
  if (e->network_offset >= e->offset) return 0;
  if (!before) return e->first_frame == 0;
  return e->offset > before->offset && e->first_frame > before->first_frame &&
         e->network_offset >= before->network_offset;
}

/* 3.7: adds the entries to `table`; where that is NULL, they are compared with the GOPs that have been read (R2.15). */
Status nv_read_index(Reader *r, Table *table) {
  nvrc_decoder *d = r->d;
  Entry before = {0, 0, 0}, e;
  uint64_t count;
  TRY(nv_leb128(r, &count));
  TRY(nv_require(r, count != 0, R3_35));
  if (!table) TRY(nv_require(r, count == d->at.unit_count[0x03] && count == d->table.count, R2_15));
  for (uint64_t i = 0; i < count; i++) {
    TRY(nv_leb128(r, &e.offset));
    TRY(nv_leb128(r, &e.first_frame));
    TRY(nv_leb128(r, &e.network_offset));
    TRY(nv_require(r, follows(&e, i > 0 ? &before : NULL), R3_36));
    if (table)
      TRY(nv_add_gop(d, table, &e));
    else
      TRY(nv_require(r, same(&e, &d->table.entry[i]), R2_15));
    before = e;
  }
  return nv_payload_end(r);
}

/* 2.8: reads the unit at pos; *found says whether it is whole and of this type. Only an error that is none of the
 * stream remains one. */
static Status try_unit(nvrc_decoder *d, uint64_t pos, int type, Reader *payload, int *found) {
  *found = 0;
  if (pos >= d->source.size) return 0;
  d->at.pos = pos;
  if (nv_next_unit(d, payload)) {
    if (d->error.kind == NVRC_IO || strcmp(d->error.code, "E_MEMORY") == 0) return 1;
    d->failed = 0;
    return 0;
  }
  *found = d->at.unit.type == type;
  return 0;
}

/* 2.8: fills the table from INDEX, if there is one that can be found. */
static Status from_index(nvrc_decoder *d, Table *table, int *found) {
  const uint64_t size = d->source.size, footer = size - FOOTER_BYTES;
  const uint8_t *bytes;
  uint64_t offset = 0, gops;
  Reader payload;
  *found = 0;
  if (size < FOOTER_BYTES) return 0;
  TRY(nv_load(d, footer, FOOTER_BYTES, &bytes));
  if (memcmp(bytes + 8, "NVRX", 4) != 0) return 0;
  for (int i = 0; i < 8; i++) offset |= (uint64_t)bytes[i] << (8 * i);
  TRY(try_unit(d, offset, 0x82, &payload, found));
  if (!*found) return 0;
  const uint64_t end = d->at.pos;
  TRY(try_unit(d, end, 0x05, &payload, found));
  if (!*found || d->at.pos != footer) {
    *found = 0;
    return 0;
  }
  d->at.pos = offset;
  TRY(nv_next_unit(d, &payload));
  TRY(nv_read_index(&payload, table));
  table->index_offset = offset;
  const Entry *first = table->entry, *last = table->entry + table->count - 1;
  d->at.pos = end;
  TRY(nv_next_unit(d, &payload));
  TRY(nv_read_totals(&payload, &table->frames, &gops));
  d->at.unit = (Unit){0x82, offset, 0, 0};
  if (gops != table->count || last->first_frame >= table->frames || first->network_offset < 10 ||
      last->offset >= offset)
    return nv_fail(d, offset, R2_15);
  return 0;
}

static Status fill(nvrc_decoder *d, Table *table) {
  int found;
  TRY(from_index(d, table, &found));
  if (!found) {
    nv_begin_units(d);
    while (!d->at.ended) TRY(nv_hop(d, table));
    table->frames = d->at.frames;
  }
  table->complete = 1;
  return 0;
}

/* 2.8: makes the table complete. Where the stream has been read to is as before; so is the table after an error. */
Status nv_complete_table(nvrc_decoder *d) {
  Place place = d->at;
  Table table = {NULL, 0, 0, 0, 0, 0, SCOPE_NEW_TABLE};
  if (d->table.complete) return 0;
  nv_begin_units(d);
  Status failed = fill(d, &table);
  d->at = place;
  if (failed) {
    nv_release(d, SCOPE_NEW_TABLE);
    return 1;
  }
  nv_release(d, SCOPE_TABLE);
  d->blocks[SCOPE_TABLE] = d->blocks[SCOPE_NEW_TABLE];
  d->blocks[SCOPE_NEW_TABLE] = NULL;
  d->table = table;
  d->table.scope = SCOPE_TABLE;
  return 0;
}
