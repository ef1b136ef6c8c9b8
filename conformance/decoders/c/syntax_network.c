/* 3.3: NETWORK. */
#include "internal.h"

enum { LEB128 = 0, U8 = 1, U16 = 2, U24 = 3 };

/* stage_channels, stage_blocks, grid_mask */
static Status stages_and_mask(Reader *r, Network *n) {
  const Profile *p = r->d->profile;
  uint64_t v;
  for (int i = 0; i < NUM_STAGES; i++) {
    TRY(nv_element(r, U8, 1, (uint64_t)p->max_stage_channels[i], R3_12, &v));
    n->stage_channels[i] = (int)v;
  }
  for (int i = 0; i < NUM_STAGES; i++) {
    TRY(nv_element(r, U8, 0, (uint64_t)p->max_stage_blocks[i], R3_37, &v));
    n->stage_blocks[i] = (int)v;
  }
  TRY(nv_uint(r, U16, &v));
  unsigned mask = n->grid_mask = (unsigned)v;
  int flow = nv_present(n, FLOW_SLOT), split = nv_present(n, SPLIT_SLOT);
  TRY(nv_require(r, mask >> NUM_SLOTS == 0, R3_14));
  TRY(nv_require(r, (mask & ~(1u << FLOW_SLOT | 1u << SPLIT_SLOT)) != 0, R3_13));
  TRY(nv_require(r, (mask & BAND_SLOTS) == 0 || (mask & BAND_SLOTS) == BAND_SLOTS, R3_41));
  TRY(nv_require(r, !flow || (mask & NODE_SLOTS) != 0, R3_42));
  return nv_require(r, !split || flow, R3_48);
}

/* spacings, step_factor */
static Status pyramid(Reader *r, Network *n) {
  uint64_t v;
  n->num_levels = 0;
  n->node_spacing = n->key_spacing = 1;
  if ((n->grid_mask & NODE_SLOTS) == 0) return 0;
  TRY(nv_uint(r, U8, &v));
  int node = (int)(v & 7), key = (int)(v >> 4 & 7);
  TRY(nv_require(r, (v & 0x88) == 0, R3_45));
  TRY(nv_require(r, node <= 4, R3_43));
  TRY(nv_require(r, key >= node && key <= 4, R3_44));
  n->node_spacing = 1 << node;
  n->key_spacing = 1 << key;
  n->num_levels = key - node;
  for (int i = 0; i < n->num_levels; i++) {
    TRY(nv_element(r, U8, 1, 255, R3_46, &v));
    n->step_factor[i] = (int)v;
  }
  return 0;
}

static Status runs(Reader *r, GridHeader *g) {
  uint64_t run_count, split, repeat;
  g->num_splits = 0;
  TRY(nv_element(r, U8, 0, 16, R3_17, &run_count));
  for (uint64_t run = 0; run < run_count; run++) {
    TRY(nv_uint(r, U8, &split));
    TRY(nv_require(r, (split & 7) != 0, R3_18));
    TRY(nv_require(r, (split & 7 & split >> 4) == 0, R3_19));
    TRY(nv_require(r, (split & 0x88) == 0, R3_20));
    TRY(nv_element(r, U8, 1, 16, R3_21, &repeat));
    TRY(nv_require(r, (uint64_t)g->num_splits + repeat <= MAX_SPLITS, R3_22));
    for (uint64_t i = 0; i < repeat; i++) g->split[g->num_splits++] = (uint8_t)split;
  }
  return 0;
}

static Status grid_header(Reader *r, int slot, GridHeader *g) {
  int most = r->d->profile->max_grid_channels[slot];
  uint64_t v;
  TRY(nv_uint(r, U8, &v));
  int one_multiplier = (int)(v >> 7);
  g->channels = (int)(v & 63);
  TRY(nv_require(r, (v & 0x40) == 0, R3_26));
  TRY(nv_require(r, g->channels >= 1 && g->channels <= most, R3_15));
  TRY(nv_require(r, slot != FLOW_SLOT || g->channels == 3, R3_39));
  TRY(nv_require(r, slot != SPLIT_SLOT || g->channels == 3, R3_49));
  TRY(nv_require(r, nv_slots[slot].kind != KIND_BAND || g->channels == most, R3_40));
  for (int i = 0; i < g->channels; i++) {
    if (i == 0 || !one_multiplier) TRY(nv_element(r, LEB128, 1, 2048, R3_16, &v));
    g->multiplier[i] = (int)v;
  }
  TRY(nv_element(r, U8, 0, 2, R3_38, &v));
  g->schedule = (int)v;
  return g->schedule == 2 ? runs(r, g) : 0;
}

static Status layer_scales(Reader *r, Layer *l) {
  uint64_t v;
  TRY(nv_uint(r, U24, &v));
  l->weight_step = (int)(v & 3);
  l->shift = (int)(v >> 2 & 31);
  l->weight_table = (int)(v >> 7 & 63);
  l->bias_shift = (int)(v >> 13 & 31);
  l->bias_table = (int)(v >> 18 & 63);
  TRY(nv_require(r, l->shift <= 24, R3_25));
  TRY(nv_require(r, l->weight_table <= 39, R3_27));
  TRY(nv_require(r, l->bias_shift <= 23, R3_28));
  return nv_require(r, l->bias_table <= 39, R3_29);
}

/* context_width_1, context_width_2, prior */
static Status widths_and_prior(Reader *r, Network *n) {
  uint64_t v;
  TRY(nv_element(r, U8, 1, CONTEXT_WIDTH_MAX, R3_23, &v));
  n->context_width[0] = (int)v;
  TRY(nv_element(r, U8, 1, CONTEXT_WIDTH_MAX, R3_24, &v));
  n->context_width[1] = (int)v;
  TRY(nv_uint(r, U8, &v));
  TRY(nv_require(r, v <= 3, R3_50));
  n->context_prior = (int)(v & 1);
  n->synthesis_prior = (int)(v >> 1);
  return nv_require(r, !n->synthesis_prior || r->d->sequence.chroma_format == 1, R3_51);
}

static Status take_parameters(nvrc_decoder *d, Network *n) {
  uint64_t count = 0;
  for (int i = 0; i < n->num_layers; i++) count += (uint64_t)n->layer[i].outputs * (uint64_t)(n->layer[i].inputs + 1);
  if (count > d->options.limits.network_parameters)
    return nv_over_limit(d, d->at.unit.payload, "the number of parameters is within the limit of this decoder");
  int32_t *next = nv_take(d, SCOPE_NETWORK, count, sizeof *next);
  if (!next) return 1;
  for (int i = 0; i < n->num_layers; i++) {
    Layer *l = &n->layer[i];
    l->w = next;
    l->b = next + l->outputs * l->inputs;
    next = l->b + l->outputs;
  }
  return 0;
}

Status nv_read_network(Reader *r) {
  nvrc_decoder *d = r->d;
  Network *n = &d->network;
  Payload parameters;
  nv_release(d, SCOPE_NETWORK);
  memset(n, 0, sizeof *n);
  TRY(stages_and_mask(r, n));
  TRY(pyramid(r, n));
  for (int slot = 0; slot < NUM_SLOTS; slot++)
    if (nv_present(n, slot)) TRY(grid_header(r, slot, &n->grid[slot]));
  TRY(widths_and_prior(r, n));
  nv_list_layers(d, n);
  for (int i = 0; i < n->num_layers; i++) TRY(layer_scales(r, &n->layer[i]));
  TRY(nv_payload(r, R3_30, &parameters));
  TRY(nv_payload_end(r));
  TRY(take_parameters(d, n));
  TRY(nv_decode_parameters(d, n, &parameters));
  for (int i = 0; i < n->num_layers; i++) {
    nv_observe_parameters(d, &n->layer[i]);
    TRY(nv_layer_integers(d, n, &n->layer[i]));
  }
  n->offset = d->at.unit.offset;
  n->in_force = 1;
  return 0;
}
