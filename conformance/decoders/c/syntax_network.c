/* 3.3: NETWORK. */
#include "internal.h"

enum { LEB128 = 0, U8 = 1, U16 = 2, U24 = 3 };

static Status range(const Reader *r, int condition, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(r->d, "E_RANGE", r->pos - 1, "3.3", requirement, sentence);
}

static Status reserved(const Reader *r, int condition, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(r->d, "E_RESERVED", r->pos - 1, "3.3", requirement, sentence);
}

/* stage_channels, stage_blocks, grid_mask */
static Status stages_and_mask(Reader *r, Network *n) {
  const Profile *p = r->d->profile;
  uint64_t v;
  for (int i = 0; i < NUM_STAGES; i++) {
    TRY(nv_element(r, U8, 1, (uint64_t)p->max_stage_channels[i], "R3.12",
                   "stage_channels is in the range 1..MaxStageChannels", &v));
    n->stage_channels[i] = (int)v;
  }
  for (int i = 0; i < NUM_STAGES; i++) {
    TRY(nv_element(r, U8, 0, (uint64_t)p->max_stage_blocks[i], "R3.37",
                   "stage_blocks is in the range 0..MaxStageBlocks", &v));
    n->stage_blocks[i] = (int)v;
  }
  TRY(nv_uint(r, U16, &v));
  unsigned mask = n->grid_mask = (unsigned)v;
  int flow = nv_present(n, FLOW_SLOT), split = nv_present(n, SPLIT_SLOT);
  TRY(reserved(r, mask >> NUM_SLOTS == 0, "R3.14", "bits NumSlots and above of grid_mask are 0"));
  TRY(range(r, (mask & ~(1u << FLOW_SLOT | 1u << SPLIT_SLOT)) != 0, "R3.13",
            "a bit of grid_mask other than bits FlowSlot and SplitSlot is 1"));
  TRY(range(r, (mask & BAND_SLOTS) == 0 || (mask & BAND_SLOTS) == BAND_SLOTS, "R3.41",
            "the bits of BandSlots are all 0 or all 1"));
  TRY(range(r, !flow || (mask & NODE_SLOTS) != 0, "R3.42", "bit FlowSlot is 0 where no bit of NodeSlots is 1"));
  return range(r, !split || flow, "R3.48", "bit SplitSlot is 0 where bit FlowSlot is 0");
}

/* spacings, step_factor */
static Status pyramid(Reader *r, Network *n) {
  uint64_t v;
  n->num_levels = 0;
  n->node_spacing = n->key_spacing = 1;
  if ((n->grid_mask & NODE_SLOTS) == 0) return 0;
  TRY(nv_uint(r, U8, &v));
  int node = (int)(v & 7), key = (int)(v >> 4 & 7);
  TRY(reserved(r, (v & 0x88) == 0, "R3.45", "reserved bits 3 and 7 of spacings are 0"));
  TRY(range(r, node <= 4, "R3.43", "node_spacing_log2 is in the range 0..4"));
  TRY(range(r, key >= node && key <= 4, "R3.44", "key_spacing_log2 is in the range node_spacing_log2..4"));
  n->node_spacing = 1 << node;
  n->key_spacing = 1 << key;
  n->num_levels = key - node;
  for (int i = 0; i < n->num_levels; i++) {
    TRY(nv_element(r, U8, 1, 255, "R3.46", "step_factor is in the range 1..255", &v));
    n->step_factor[i] = (int)v;
  }
  return 0;
}

static Status runs(Reader *r, GridHeader *g) {
  uint64_t run_count, split, repeat;
  g->num_splits = 0;
  TRY(nv_element(r, U8, 0, 16, "R3.17", "run_count is in the range 0..16", &run_count));
  for (uint64_t run = 0; run < run_count; run++) {
    TRY(nv_uint(r, U8, &split));
    TRY(nv_require(r, (split & 7) != 0, "E_SCHEDULE", "R3.18", "halve is not 0"));
    TRY(nv_require(r, (split & 7 & split >> 4) == 0, "E_SCHEDULE", "R3.19", "phase has no axis that halve has"));
    TRY(reserved(r, (split & 0x88) == 0, "R3.20", "reserved bits 3 and 7 of split are 0"));
    TRY(nv_element(r, U8, 1, 16, "R3.21", "repeat is in the range 1..16", &repeat));
    TRY(nv_require(r, (uint64_t)g->num_splits + repeat <= MAX_SPLITS, "E_SCHEDULE", "R3.22",
                   "NumSplits is at most 32"));
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
  TRY(reserved(r, (v & 0x40) == 0, "R3.26", "reserved bit 6 of grid_layout is 0"));
  TRY(range(r, g->channels >= 1 && g->channels <= most, "R3.15", "grid_channels is in the range 1..MaxGridChannels"));
  TRY(range(r, slot != FLOW_SLOT || g->channels == 3, "R3.39", "grid_channels of the slot FlowSlot is 3"));
  TRY(range(r, slot != SPLIT_SLOT || g->channels == 3, "R3.49", "grid_channels of the slot SplitSlot is 3"));
  TRY(range(r, nv_slots[slot].kind != KIND_BAND || g->channels == most, "R3.40",
            "grid_channels of a slot of BandSlots is MaxGridChannels"));
  for (int i = 0; i < g->channels; i++) {
    if (i == 0 || !one_multiplier)
      TRY(nv_element(r, LEB128, 1, 2048, "R3.16", "multiplier is in the range 1..2048", &v));
    g->multiplier[i] = (int)v;
  }
  TRY(nv_element(r, U8, 0, 2, "R3.38", "schedule is in the range 0..2", &v));
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
  TRY(range(r, l->shift <= 24, "R3.25", "shift is in the range 0..24"));
  TRY(range(r, l->weight_table <= 39, "R3.27", "weight_table is in the range 0..39"));
  TRY(range(r, l->bias_shift <= 23, "R3.28", "bias_shift is in the range 0..23"));
  return range(r, l->bias_table <= 39, "R3.29", "bias_table is in the range 0..39");
}

/* context_width_1, context_width_2, prior */
static Status widths_and_prior(Reader *r, Network *n) {
  uint64_t v;
  TRY(nv_element(r, U8, 1, CONTEXT_WIDTH_MAX, "R3.23", "context_width_1 is in the range 1..64", &v));
  n->context_width[0] = (int)v;
  TRY(nv_element(r, U8, 1, CONTEXT_WIDTH_MAX, "R3.24", "context_width_2 is in the range 1..64", &v));
  n->context_width[1] = (int)v;
  TRY(nv_uint(r, U8, &v));
  TRY(reserved(r, v <= 3, "R3.50", "reserved bits 2 to 7 of prior are 0"));
  n->context_prior = (int)(v & 1);
  n->synthesis_prior = (int)(v >> 1);
  return range(r, !n->synthesis_prior || r->d->sequence.chroma_format == 1, "R3.51",
               "synthesis_prior is 0 where chroma_format is not 1");
}

static Status take_parameters(nvrc_decoder *d, Network *n) {
  uint64_t count = 0;
  for (int i = 0; i < n->num_layers; i++) count += (uint64_t)n->layer[i].outputs * (uint64_t)(n->layer[i].inputs + 1);
  if (count > d->limits.network_parameters)
    return nv_fail(d, "E_LIMIT", d->unit.payload, "9.3", "",
                   "the number of parameters is within the limit of this decoder");
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
  uint64_t length;
  r->section = "3.3";
  nv_release(d, SCOPE_NETWORK);
  memset(n, 0, sizeof *n);
  TRY(stages_and_mask(r, n));
  TRY(pyramid(r, n));
  for (int slot = 0; slot < NUM_SLOTS; slot++)
    if (nv_present(n, slot)) TRY(grid_header(r, slot, &n->grid[slot]));
  TRY(widths_and_prior(r, n));
  nv_list_layers(d, n);
  for (int i = 0; i < n->num_layers; i++) TRY(layer_scales(r, &n->layer[i]));
  TRY(nv_leb128(r, &length));
  TRY(nv_require(r, length % 4 == 0, "E_LENGTH", "R3.30", "parameter_length is a multiple of 4"));
  if (r->end - r->pos < length)
    return nv_fail(d, "E_LENGTH", r->pos, "2.3", "R2.6", "every syntax element of a payload lies inside it");
  uint64_t offset = r->pos;
  r->pos += length;
  TRY(nv_payload_end(r));
  TRY(take_parameters(d, n));
  TRY(nv_decode_parameters(d, n, offset, length));
  for (int i = 0; i < n->num_layers; i++) TRY(nv_layer_integers(d, n, &n->layer[i]));
  n->offset = d->unit.offset;
  n->in_force = 1;
  return 0;
}
