/* Chapter 7: the synthesis network. */
#include "internal.h"

static void shape(const nvrc_decoder *d, Array *a, int k, int channels) {
  a->channels = channels;
  a->rows = (int)nv_ceil_div(d->sequence.height, nv_stage_stride(k));
  a->columns = (int)nv_ceil_div(d->sequence.width, nv_stage_stride(k));
}

/* 7.6.6: appends entering(k, t) of the current frame to g. */
static void entering(nvrc_decoder *d, int k, Array *g) {
  if (k == 3 && nv_present(&d->network, PLANE_SLOT)) {
    const Array *quarter = &d->gop.planes.current[0];
    memcpy(nv_row(g, g->channels, 0), quarter->v, nv_values(quarter) * sizeof *g->v);
    g->channels += quarter->channels;
  }
  if (k == 4 && (d->network.grid_mask & BAND_SLOTS)) {
    const Array *luma = &d->gop.planes.current[1];
    for (int p = 0; p < 4; p++, g->channels++)
      for (int y = 0; y < g->rows; y++) {
        const int16_t *restrict from = nv_row(luma, 0, 2 * y + (p >> 1)) + (p & 1);
        int16_t *restrict to = nv_row(g, g->channels, y);
        for (int x = 0; x < g->columns; x++) to[x] = from[2 * x];
      }
  }
}

/* 7.7: the channels that enter stage k, in act.g. */
static const Array *injected(nvrc_decoder *d, int k, int64_t t) {
  Array *g = &d->gop.act.g;
  shape(d, g, k, 0);
  for (int slot = 0; slot < NUM_SLOTS; slot++) {
    Array part = *g;
    if (!nv_present(&d->network, slot) || nv_slots[slot].kind != KIND_FEATURE || nv_slots[slot].stage != k) continue;
    part.v = nv_row(g, g->channels, 0);
    nv_node_activations(d, slot, t, &part);
    g->channels += part.channels;
  }
  entering(d, k, g);
  return g;
}

/* 7.7: injection(k, t) */
static void injection(nvrc_decoder *d, int k, int64_t t, Array *out) {
  Activations *act = &d->gop.act;
  const Layer *l = nv_layer(&d->network, INJECT, k, 0);
  const int16_t *tap[9 * MAX_INJECTED];
  shape(d, out, k, d->network.stage_channels[k]);
  if (!l) {
    memset(out->v, 0, nv_values(out) * sizeof *out->v);
    return;
  }
  const Array *g = injected(d, k, t);
  for (int y = 0; y < g->rows; y++) {
    for (int c = 0; c < g->channels; c++) nv_list_taps(g, c, y, act->zeros, tap + 9 * c);
    for (int o = 0; o < l->outputs; o++) {
      nv_begin(l, l->b[o], act->sums, g->columns);
      nv_add_taps(act->sums, l->w + o * l->inputs, tap, l->inputs, g->columns);
      nv_finish(l, act->sums, nv_row(out, o, y), g->columns);
    }
  }
}

/* 7.8: a is the injection of frame t; the result replaces it. */
static void temporal(nvrc_decoder *d, const Layer *l, int64_t t, Array *a) {
  Activations *act = &d->gop.act;
  int64_t last = d->gop.frame_count - 1;
  injection(d, 0, t > 0 ? t - 1 : 0, &act->before);
  injection(d, 0, t < last ? t + 1 : last, &act->after);
  for (int c = 0; c < a->channels; c++)
    for (int y = 0; y < a->rows; y++) {
      const int16_t *rows[3] = {nv_row(&act->before, c, y), nv_row(a, c, y), nv_row(&act->after, c, y)};
      nv_begin(l, l->b[c], act->sums, a->columns);
      nv_add_rows(act->sums, l->w + 3 * c, rows, 3, a->columns);
      nv_finish(l, act->sums, nv_row(a, c, y), a->columns);
    }
}

/* A row of all outputs of a depthwise layer, in act.h; each channel of a has the same number of outputs. */
static void depthwise_row(Activations *act, const Layer *l, const Array *a, int y) {
  const int16_t *tap[9];
  int filters = l->outputs / a->channels;
  act->h = (Array){l->outputs, 1, a->columns, act->h.v};
  for (int o = 0; o < l->outputs; o++) {
    if (o % filters == 0) nv_list_taps(a, o / filters, y, act->zeros, tap);
    nv_begin(l, l->b[o], act->sums, a->columns);
    nv_add_taps(act->sums, l->w + 9 * o, tap, 9, a->columns);
    nv_finish(l, act->sums, nv_row(&act->h, o, 0), a->columns);
  }
}

/* Row y of all outputs of a pointwise layer, from act.h. */
static void pointwise_row(Activations *act, const Layer *l, int y, Array *out) {
  const int16_t *rows[4 * MAX_STAGE_CHANNELS];
  for (int c = 0; c < l->inputs; c++) rows[c] = nv_row(&act->h, c, 0);
  for (int o = 0; o < l->outputs; o++) {
    nv_begin(l, l->b[o], act->sums, act->h.columns);
    nv_add_rows(act->sums, l->w + o * l->inputs, rows, l->inputs, act->h.columns);
    nv_finish(l, act->sums, nv_row(out, o, y), act->h.columns);
  }
}

/* a = activation_clip(a + b), for a row or a whole array */
static void add_clipped(int16_t *restrict a, const int16_t *restrict b, size_t values) {
  for (size_t i = 0; i < values; i++) a[i] = nv_activation(a[i] + b[i]);
}

/* 7.9: block(k, b, a) */
static void block(nvrc_decoder *d, int k, int b, const Array *a, Array *out) {
  const Layer *depthwise = nv_layer(&d->network, DEPTHWISE, k, b), *pointwise = nv_layer(&d->network, POINTWISE, k, b);
  *out = (Array){a->channels, a->rows, a->columns, out->v};
  for (int y = 0; y < a->rows; y++) {
    depthwise_row(&d->gop.act, depthwise, a, y);
    pointwise_row(&d->gop.act, pointwise, y, out);
    for (int o = 0; o < a->channels; o++) add_clipped(nv_row(out, o, y), nv_row(a, o, y), (size_t)a->columns);
  }
  nv_observe(d, STAGE_BLOCK + 5 * k + b, out);
}

/* 7.1, 7.10: activation_clip(upsample(a, k) + injection(k, t)), in out */
static void enter_stage(nvrc_decoder *d, int k, int64_t t, const Array *a, Array *out) {
  Activations *act = &d->gop.act;
  int channels = d->network.stage_channels[k];
  injection(d, k, t, out);
  if (nv_layer(&d->network, INJECT, k, 0)) nv_observe(d, STAGE_INJECT + 5 * k, out);
  if (a->channels < channels) channels = a->channels; /* the others gain nothing */
  act->h = (Array){1, 1, out->columns, act->h.v};
  for (int c = 0; c < channels; c++)
    for (int y = 0; y < out->rows; y++) {
      int y0, y1;
      nv_near_and_far(y, a->rows, &y0, &y1);
      nv_double_row(nv_row(a, c, y0), nv_row(a, c, y1), a->columns, act->sums, act->h.v, out->columns);
      add_clipped(nv_row(out, c, y), act->h.v, (size_t)out->columns);
    }
  nv_observe(d, STAGE_SUM + 5 * k, out);
}

/* 7.11 */
static void head(nvrc_decoder *d, const Array *a) {
  Activations *act = &d->gop.act;
  const Layer *depthwise = nv_layer(&d->network, HEAD_DEPTHWISE, 4, 0);
  const Layer *pointwise = nv_layer(&d->network, HEAD_POINTWISE, 4, 0);
  for (int y = 0; y < a->rows; y++) {
    depthwise_row(act, depthwise, a, y);
    for (int o = 0; o < act->head.channels; o++)
      memcpy(nv_row(&act->head, o, y), nv_row(&act->h, o, 0), (size_t)a->columns * sizeof *a->v);
    pointwise_row(act, pointwise, y, &act->subplanes);
  }
  nv_observe(d, STAGE_HEAD, &act->head);
  nv_observe(d, STAGE_SUBPLANES, &act->subplanes);
}

/* 7.1 */
void nv_synthesise(nvrc_decoder *d, int64_t t) {
  Activations *act = &d->gop.act;
  const Layer *filter = nv_layer(&d->network, TEMPORAL, 0, 0);
  Array *a = &act->a[0], *other = &act->a[1], *swap;
  if (d->network.grid_mask & NODE_SLOTS) {
    d->gop.planes.current = nv_planes(d, t);
    nv_observe_planes(d, t);
  }
  injection(d, 0, t, a);
  if (nv_layer(&d->network, INJECT, 0, 0)) nv_observe(d, STAGE_INJECT, a);
  if (filter) {
    temporal(d, filter, t, a);
    nv_observe(d, STAGE_SUM, a);
  }
  for (int k = 0; k < NUM_STAGES; k++) {
    if (k > 0) {
      enter_stage(d, k, t, a, other);
      swap = a, a = other, other = swap;
    }
    for (int b = 0; b < d->network.stage_blocks[k]; b++) {
      block(d, k, b, a, other);
      swap = a, a = other, other = swap;
    }
  }
  head(d, a);
}
