/* Chapter 6: from coded integers to weights and biases, the prior, and the bound. */
#include "internal.h"

/* 6.5: where the prior holds a layer. Its weights are [outputs][inputs], in the order of Layer.w. */
typedef struct {
  LayerKind kind;
  int stage, block;
  int outputs, inputs;
} PriorLayer;

static const PriorLayer prior_layers[] = {
    {CONTEXT_HIDDEN1, 0, 0, 10, 51}, {CONTEXT_HIDDEN2, 0, 0, 10, 10}, {CONTEXT_OUTPUT, 0, 0, 2, 10},
    {INJECT, 3, 0, 8, 27},           {DEPTHWISE, 3, 0, 8, 9},         {POINTWISE, 3, 0, 8, 8},
    {INJECT, 4, 0, 8, 36},           {DEPTHWISE, 4, 0, 8, 9},         {POINTWISE, 4, 0, 8, 8},
    {HEAD_DEPTHWISE, 4, 0, 32, 9},   {HEAD_POINTWISE, 4, 0, 6, 32},
};

/* The entry of a layer in the table, and the constants of it; NULL where the table has none. */
static const PriorLayer *find_prior(const Layer *l, const int32_t **constants) {
  *constants = nv_prior;
  for (size_t i = 0; i < sizeof prior_layers / sizeof prior_layers[0]; i++) {
    const PriorLayer *p = &prior_layers[i];
    if (p->kind == l->kind && p->stage == l->stage && p->block == l->block) return p;
    *constants += p->outputs * (p->inputs + 1);
  }
  return NULL;
}

/* 6.5: the weights that pass an input through. */
static int64_t default_weight(const Layer *l, int o, int j) {
  int centre = (l->kind == DEPTHWISE && j == 4) || (l->kind == HEAD_DEPTHWISE && o % 4 == 0 && j == 4) ||
               (l->kind == TEMPORAL && j == 1);
  return centre ? 65536 : 0;
}

/* 6.5: the second index of stage3.inject begins with the F channels of feature slots, which the table does not have. */
static int first_input(const Network *n, const Layer *l) {
  if (l->kind != INJECT || l->stage != 3) return 0;
  return 9 * (n->injected[3] - (nv_present(n, PLANE_SLOT) ? n->grid[PLANE_SLOT].channels : 0));
}

/* 6.1 */
static int64_t scaled(int64_t constant, int shift) { return (constant * ((int64_t)1 << shift) + 32768) >> 16; }

/* 6.3: R6.2, and R5.1 for the context layers. */
static Status check_bound(nvrc_decoder *d, const Layer *l, int o, int64_t bias) {
  int64_t sum = bias + nv_rounding(l);
  if (sum < 0) sum = -sum;
  for (int j = 0; j < l->inputs; j++) {
    int32_t w = l->w[o * l->inputs + j];
    sum += (int64_t)(w < 0 ? -w : w) * l->input_max;
  }
  if (sum < ACCUMULATOR_LIMIT) return 0;
  if (l->kind <= CONTEXT_OUTPUT) return nv_fail(d, d->at.unit.payload, R5_1);
  return nv_fail(d, d->at.unit.payload, R6_2);
}

/* 6.1: replaces q and b_q of a layer by w and b. */
Status nv_layer_integers(nvrc_decoder *d, const Network *n, Layer *l) {
  const int32_t *constants;
  const PriorLayer *prior = find_prior(l, &constants);
  int has_prior = l->kind <= CONTEXT_OUTPUT ? n->context_prior : n->synthesis_prior;
  int first = first_input(n, l);
  int64_t gain = l->kind == HEAD_POINTWISE ? (int64_t)1 << (d->sequence.bit_depth - 8) : 1;
  for (int o = 0; o < l->outputs; o++) {
    for (int j = 0; j < l->inputs; j++) {
      int32_t *w = &l->w[o * l->inputs + j];
      int64_t p = default_weight(l, o, j);
      if (prior && o < prior->outputs && j >= first && j - first < prior->inputs)
        p = gain * constants[o * prior->inputs + j - first];
      int64_t sum = (has_prior ? scaled(p, l->shift) : 0) + (int64_t)*w * (l->weight_step + 4);
      if (sum < -WEIGHT_MAX || sum > WEIGHT_MAX) return nv_fail(d, d->at.unit.payload, R6_1);
      *w = (int32_t)sum;
    }
    int64_t p = prior && o < prior->outputs ? gain * constants[prior->outputs * prior->inputs + o] : 0;
    int64_t bias = (has_prior ? scaled(p, l->shift) : 0) + (int64_t)l->b[o] * ((int64_t)1 << l->bias_shift);
    TRY(check_bound(d, l, o, bias));
    l->b[o] = (int32_t)bias;
  }
  return 0;
}
