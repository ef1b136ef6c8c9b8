/* 7.12, 7.13: the profiles, their slots and the layers of their networks. */
#include "internal.h"

const Slot nv_slots[NUM_SLOTS] = {
    {KIND_FEATURE, 32, 0}, {KIND_FEATURE, 16, 1}, {KIND_FEATURE, 8, 2}, {KIND_FEATURE, 4, 3},
    {KIND_PLANE, 4, 3},    {KIND_BAND, 16, -1},   {KIND_BAND, 8, -1},   {KIND_BAND, 4, -1},
    {KIND_BAND, 2, -1},    {KIND_FLOW, 16, -1},   {KIND_SPLIT, 8, -1},
};

const Profile nv_profiles[3] = {
    {{8, 8, 8, 8, 8}, {0, 1, 1, 1, 1}, 0, {4, 3, 3, 2, 3, 4, 3, 3, 3, 3, 3}},
    {{24, 24, 24, 24, 24}, {0, 1, 1, 2, 2}, 0, {6, 4, 4, 2, 3, 4, 3, 3, 3, 3, 3}},
    {{64, 64, 64, 64, 48}, {1, 2, 2, 2, 3}, 1, {8, 6, 4, 2, 4, 4, 3, 3, 3, 3, 3}},
};

/* 7.2 */
int nv_stage_stride(int stage) { return 32 >> stage; }

/* 7.11 */
int nv_num_subplanes(int chroma_format) { return chroma_format == 0 ? 4 : chroma_format == 1 ? 6 : 12; }

/* 7.7: Injected of each stage. */
static void count_injected(Network *n) {
  for (int slot = 0; slot < NUM_SLOTS; slot++)
    if (nv_present(n, slot) && nv_slots[slot].stage >= 0) n->injected[nv_slots[slot].stage] += n->grid[slot].channels;
  if (n->grid_mask & BAND_SLOTS) n->injected[4] += 4;
}

static void add(Network *n, LayerKind kind, int stage, int block, int outputs, int inputs, int input_max, int lo,
                int hi) {
  Layer *l = &n->layer[n->num_layers++];
  l->kind = kind;
  l->stage = stage;
  l->block = block;
  l->outputs = outputs;
  l->inputs = inputs;
  l->input_max = input_max;
  l->lo = lo;
  l->hi = hi;
}

/* 3.3: Layers, in canonical order; input_max, lo and hi are those of 6.3. */
void nv_list_layers(const nvrc_decoder *d, Network *n) {
  const int lo = ACTIVATION_MIN, hi = ACTIVATION_MAX;
  int width1 = n->context_width[0], width2 = n->context_width[1], last = n->stage_channels[4];
  count_injected(n);
  n->num_layers = 0;
  add(n, CONTEXT_HIDDEN1, 0, 0, width1, CONTEXT_INPUTS, 15, 0, hi); /* 5.5 */
  add(n, CONTEXT_HIDDEN2, 0, 0, width2, width1, 2047, 0, hi);
  add(n, CONTEXT_OUTPUT, 0, 0, 2, width2, 2047, lo, hi);
  for (int k = 0; k < NUM_STAGES; k++) { /* 7.13 */
    int channels = n->stage_channels[k];
    if (n->injected[k]) add(n, INJECT, k, 0, channels, 9 * n->injected[k], 2048, lo, hi);
    if (k == 0 && d->profile->temporal_filter) add(n, TEMPORAL, 0, 0, channels, 3, 2048, lo, hi);
    for (int b = 0; b < n->stage_blocks[k]; b++) {
      add(n, DEPTHWISE, k, b, channels, 9, 2048, 0, hi);
      add(n, POINTWISE, k, b, channels, channels, 2047, lo, hi);
    }
  }
  add(n, HEAD_DEPTHWISE, 4, 0, 4 * last, 9, 2048, lo, hi);
  add(n, HEAD_POINTWISE, 4, 0, nv_num_subplanes(d->sequence.chroma_format), 4 * last, 2048, 0,
      (1 << d->sequence.bit_depth) - 1);
}

/* The layer of this name, or NULL where the network has none. */
const Layer *nv_layer(const Network *n, LayerKind kind, int stage, int block) {
  for (int i = 0; i < n->num_layers; i++) {
    const Layer *l = &n->layer[i];
    if (l->kind == kind && l->stage == stage && l->block == block) return l;
  }
  return NULL;
}
