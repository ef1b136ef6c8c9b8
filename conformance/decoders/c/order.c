/* 2.5, 2.8: the order of units, in reading all of them and in hopping over them. */
#include "internal.h"

static Status order(nvrc_decoder *d, int condition, Requirement requirement) {
  return condition ? 0 : nv_fail(d, d->at.unit.offset, requirement);
}

static Status end(nvrc_decoder *d, Reader *payload) {
  TRY(order(d, d->at.unit_count[0x03] > 0, R2_12));
  TRY(nv_read_end(payload));
  nv_unit_done(d);
  return nv_end_of_stream(d);
}

/* One unit after the first. After a GOP its frames are due; a DIGEST comes after them. */
Status nv_read_unit(nvrc_decoder *d) {
  Reader payload;
  nvrc_metadata entry;
  TRY(nv_next_unit(d, &payload));
  int type = d->at.unit.type;
  TRY(order(d, type != 0x01, R2_8));
  TRY(order(d, (type == 0x04) == d->gop.active, R2_10));
  TRY(order(d, type == 0x05 || d->at.index_offset == 0, R2_11));
  switch (type) {
    case 0x02:
      TRY(nv_read_network(&payload));
      d->at.network = d->network.offset;
      break;
    case 0x03:
      TRY(order(d, d->at.network != 0, R2_9));
      TRY(nv_read_gop(&payload));
      break;
    case 0x04:
      TRY(nv_check_digest(&payload));
      d->gop.active = 0;
      nv_release(d, SCOPE_GOP);
      break;
    case 0x05: return end(d, &payload);
    case 0x81: TRY(nv_read_metadata(&payload, &entry)); break;
    case 0x82:
      TRY(nv_read_index(&payload, NULL));
      d->at.index_offset = d->at.unit.offset;
      break;
    default: /* optional and unknown: skipped */ break;
  }
  nv_unit_done(d);
  return 0;
}

/* 2.8: hops over one unit after the first. Reads END, and frame_count of a GOP, which goes into the table. Where that
 * is NULL, the way may have begun behind the first NETWORK. */
Status nv_hop(nvrc_decoder *d, Table *table) {
  Reader payload;
  uint64_t frames, offset = d->at.pos;
  TRY(nv_find_unit(d, offset, &payload));
  TRY(order(d, !nv_unknown(d->at.unit.type), R2_5));
  switch (d->at.unit.type) {
    case 0x02: d->at.network = offset; break;
    case 0x03: {
      TRY(order(d, !table || d->at.network != 0, R2_9));
      TRY(nv_element(&payload, 0, 1, 65536, R3_31, &frames));
      const Entry entry = {offset, d->at.frames, d->at.network};
      if (table) TRY(nv_add_gop(d, table, &entry));
      d->at.frames += frames;
      break;
    }
    case 0x05: TRY(nv_next_unit(d, &payload)); return end(d, &payload);
    case 0x82: d->at.index_offset = offset; break;
    default: break;
  }
  d->at.pos = d->at.unit.end + 4;
  nv_unit_done(d);
  return 0;
}
