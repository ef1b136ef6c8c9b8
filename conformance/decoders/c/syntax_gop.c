/* 3.4: GOP. */
#include "internal.h"

const int nv_coding_order[NUM_SLOTS] = {FLOW_SLOT, SPLIT_SLOT, 0, 1, 2, 3, 4, 5, 6, 7, 8};

/* The shapes of the grids; *symbols becomes GopSymbols. */
static void shapes(nvrc_decoder *d, uint64_t *symbols) {
  const Network *network = &d->network;
  Gop *gop = &d->gop;
  int64_t keys = nv_ceil_div(gop->frame_count - 1, network->key_spacing);
  *symbols = 0;
  for (int slot = 0; slot < NUM_SLOTS; slot++) {
    Grid *g = &gop->grid[slot];
    if (!nv_present(network, slot)) continue;
    g->channels = network->grid[slot].channels;
    g->nodes = NODE_SLOTS >> slot & 1 ? keys * (network->key_spacing / network->node_spacing) + 1 : gop->frame_count;
    g->rows = nv_ceil_div(d->sequence.height, nv_slots[slot].stride);
    g->columns = nv_ceil_div(d->sequence.width, nv_slots[slot].stride);
    *symbols += (uint64_t)g->nodes * (uint64_t)g->channels * (uint64_t)g->rows * (uint64_t)g->columns;
  }
}

static Status node_map(Reader *r, Grid *g) {
  uint64_t bytes = (uint64_t)nv_ceil_div(g->nodes, 8);
  TRY(nv_bytes(r, bytes, &g->node_map));
  if (g->nodes % 8 == 0) return 0;
  return nv_require(r, g->node_map[bytes - 1] >> (g->nodes % 8) == 0, R3_47);
}

Status nv_read_gop(Reader *r) {
  nvrc_decoder *d = r->d;
  Gop *gop = &d->gop;
  uint64_t frame_count, symbols;
  memset(gop, 0, sizeof *gop);
  TRY(nv_element(r, 0, 1, 65536, R3_31, &frame_count));
  gop->frame_count = (int64_t)frame_count;
  shapes(d, &symbols);
  TRY(nv_check_gop_limits(d, r, symbols));
  for (int i = 0; i < NUM_SLOTS; i++) {
    int slot = nv_coding_order[i];
    Grid *g = &gop->grid[slot];
    if (!nv_present(&d->network, slot)) continue;
    if (MAPPED_SLOTS >> slot & 1) TRY(node_map(r, g));
    TRY(nv_payload(r, R3_32, &g->payload));
  }
  TRY(nv_payload_end(r));
  for (int slot = 0; slot < NUM_SLOTS; slot++) {
    Grid *g = &gop->grid[slot];
    if (!nv_present(&d->network, slot)) continue;
    g->q =
        nv_take(d, SCOPE_GOP, (uint64_t)g->nodes * (uint64_t)g->rows * (uint64_t)g->columns, 2 * (uint64_t)g->channels);
    if (!g->q) return 1;
  }
  TRY(nv_take_raw(d));
  TRY(nv_take_activations(d));
  TRY(nv_take_planes(d));
  for (int i = 0; i < NUM_SLOTS; i++)
    if (nv_present(&d->network, nv_coding_order[i])) TRY(nv_decode_grid(d, nv_coding_order[i]));
  TRY(nv_note_gop(d, frame_count));
  TRY(nv_observe_gop(d));
  nv_sha256_init(&gop->sha);
  d->at.frames += frame_count;
  gop->active = gop->whole = 1;
  return 0;
}
