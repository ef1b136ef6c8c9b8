/* Chapter 7: the synthesis network. Layers are computed row by row: `sums` holds one row of accumulators. */
#include "internal.h"

/* Begins the sums of an output: its bias and the rounding (6.2). */
static void begin(const Layer *l, int o, int32_t *sums, int columns) {
  int32_t start = l->b[o] + nv_rounding(l);
  for (int x = 0; x < columns; x++) sums[x] = start;
}

static void add_product(int32_t *sums, int32_t w, const int16_t *v, int columns) {
  for (int x = 0; x < columns; x++) sums[x] += w * v[x];
}

/* 7.3: adds the nine taps of channel c at row y. What lies outside of the array counts as 0. */
static void add_taps(int32_t *sums, const int32_t *w, const Array *a, int c, int y) {
  int last = a->columns - 1;
  for (int i = 0; i < 3; i++) {
    if (y + i - 1 < 0 || y + i - 1 >= a->rows) continue;
    const int16_t *v = nv_row(a, c, y + i - 1);
    add_product(sums + 1, w[3 * i], v, last);
    add_product(sums, w[3 * i + 1], v, last + 1);
    add_product(sums, w[3 * i + 2], v + 1, last);
  }
}

/* 6.2 */
static void finish(const Layer *l, const int32_t *sums, int16_t *out, int columns) {
  for (int x = 0; x < columns; x++) out[x] = (int16_t)nv_clip(sums[x] >> l->shift, l->lo, l->hi);
}

static void shape(const nvrc_decoder *d, Array *a, int k, int channels) {
  a->channels = channels;
  a->rows = (int)nv_ceil_div(d->sequence.height, nv_stage_stride(k));
  a->columns = (int)nv_ceil_div(d->sequence.width, nv_stage_stride(k));
}

/* Appends channels of the same shape. */
static void append(Array *g, const int16_t *v, int channels) {
  size_t values = (size_t)g->rows * (size_t)g->columns;
  memcpy(g->v + (size_t)g->channels * values, v, (size_t)channels * values * sizeof *v);
  g->channels += channels;
}

/* 7.6.6: appends entering(k, t) of the current frame to g. */
static void entering(nvrc_decoder *d, int k, Array *g) {
  if (k == 3 && nv_present(&d->network, PLANE_SLOT)) {
    const Array *quarter = &d->gop.planes.current[0];
    append(g, quarter->v, quarter->channels);
  }
  if (k == 4 && (d->network.grid_mask & BAND_SLOTS)) {
    const Array *luma = &d->gop.planes.current[1];
    for (int p = 0; p < 4; p++, g->channels++)
      for (int y = 0; y < g->rows; y++)
        for (int x = 0; x < g->columns; x++)
          nv_row(g, g->channels, y)[x] = nv_row(luma, 0, 2 * y + (p >> 1))[2 * x + (p & 1)];
  }
}

/* 7.7: injection(k, t) */
static void injection(nvrc_decoder *d, int k, int64_t t, Array *out) {
  Activations *act = &d->gop.act;
  const Layer *l = nv_layer(&d->network, INJECT, k, 0);
  Array *g = &act->g;
  shape(d, out, k, d->network.stage_channels[k]);
  if (!l) {
    memset(out->v, 0, (size_t)out->channels * (size_t)out->rows * (size_t)out->columns * sizeof *out->v);
    return;
  }
  shape(d, g, k, 0);
  for (int slot = 0; slot < NUM_SLOTS; slot++) {
    Array part = *g;
    if (!nv_present(&d->network, slot) || nv_slots[slot].kind != KIND_FEATURE || nv_slots[slot].stage != k) continue;
    part.v = nv_row(g, g->channels, 0);
    nv_node_activations(d, slot, t, &part);
    g->channels += part.channels;
  }
  entering(d, k, g);
  for (int o = 0; o < l->outputs; o++)
    for (int y = 0; y < g->rows; y++) {
      begin(l, o, act->sums, g->columns);
      for (int c = 0; c < g->channels; c++) add_taps(act->sums, l->w + o * l->inputs + 9 * c, g, c, y);
      finish(l, act->sums, nv_row(out, o, y), g->columns);
    }
}

/* 7.8: injection[0..2] are those of the frames before, at and after t; the result replaces the second. */
static void temporal(nvrc_decoder *d, const Layer *l, int64_t t) {
  Activations *act = &d->gop.act;
  int64_t last = d->gop.frame_count - 1;
  Array *centre = &act->injection[1];
  injection(d, 0, t > 0 ? t - 1 : 0, &act->injection[0]);
  injection(d, 0, t < last ? t + 1 : last, &act->injection[2]);
  for (int c = 0; c < centre->channels; c++)
    for (int y = 0; y < centre->rows; y++) {
      begin(l, c, act->sums, centre->columns);
      for (int j = 0; j < 3; j++)
        add_product(act->sums, l->w[3 * c + j], nv_row(&act->injection[j], c, y), centre->columns);
      finish(l, act->sums, nv_row(centre, c, y), centre->columns);
    }
}

/* 7.9: block(k, b, a). h is one row of each channel. */
static void block(nvrc_decoder *d, int k, int b, const Array *a, Array *out) {
  Activations *act = &d->gop.act;
  const Layer *depthwise = nv_layer(&d->network, DEPTHWISE, k, b), *pointwise = nv_layer(&d->network, POINTWISE, k, b);
  *out = (Array){a->channels, a->rows, a->columns, out->v};
  act->h = (Array){a->channels, 1, a->columns, act->h.v};
  for (int y = 0; y < a->rows; y++) {
    for (int c = 0; c < a->channels; c++) {
      begin(depthwise, c, act->sums, a->columns);
      add_taps(act->sums, depthwise->w + 9 * c, a, c, y);
      finish(depthwise, act->sums, nv_row(&act->h, c, 0), a->columns);
    }
    for (int o = 0; o < a->channels; o++) {
      int16_t *p = nv_row(out, o, y);
      const int16_t *v = nv_row(a, o, y);
      begin(pointwise, o, act->sums, a->columns);
      for (int c = 0; c < a->channels; c++)
        add_product(act->sums, pointwise->w[o * a->channels + c], nv_row(&act->h, c, 0), a->columns);
      finish(pointwise, act->sums, p, a->columns);
      for (int x = 0; x < a->columns; x++) p[x] = nv_activation(v[x] + p[x]);
    }
  }
}

/* 7.10 */
static void near_and_far(int v, int size, int *nearer, int *farther) {
  *nearer = v / 2;
  *farther = v % 2 == 0 ? (v / 2 > 0 ? v / 2 - 1 : 0) : (v / 2 + 1 < size ? v / 2 + 1 : size - 1);
}

/* 7.10: double of the first `channels` channels of a; the size is that of `out`. */
void nv_double(const Array *a, int channels, Array *out) {
  for (int c = 0; c < channels; c++)
    for (int y = 0; y < out->rows; y++) {
      int y0, y1, x0, x1;
      near_and_far(y, a->rows, &y0, &y1);
      const int16_t *nearer = nv_row(a, c, y0), *farther = nv_row(a, c, y1);
      int16_t *row = nv_row(out, c, y);
      for (int x = 0; x < out->columns; x++) {
        near_and_far(x, a->columns, &x0, &x1);
        row[x] = (int16_t)((9 * nearer[x0] + 3 * nearer[x1] + 3 * farther[x0] + farther[x1] + 8) >> 4);
      }
    }
}

/* 7.1, 7.10: activation_clip(upsample(a, k) + injection(k, t)), in out */
static void enter_stage(nvrc_decoder *d, int k, int64_t t, const Array *a, Array *out) {
  Array *inject = &d->gop.act.injection[1];
  int channels = d->network.stage_channels[k];
  size_t values;
  shape(d, out, k, channels);
  values = (size_t)channels * (size_t)out->rows * (size_t)out->columns;
  memset(out->v, 0, values * sizeof *out->v);
  nv_double(a, a->channels < channels ? a->channels : channels, out);
  injection(d, k, t, inject);
  for (size_t i = 0; i < values; i++) out->v[i] = nv_activation(out->v[i] + inject->v[i]);
}

/* 7.11 */
static void head(nvrc_decoder *d, const Array *a) {
  Activations *act = &d->gop.act;
  const Layer *depthwise = nv_layer(&d->network, HEAD_DEPTHWISE, 4, 0),
              *pointwise = nv_layer(&d->network, HEAD_POINTWISE, 4, 0);
  act->h = (Array){4 * a->channels, 1, a->columns, act->h.v};
  for (int y = 0; y < a->rows; y++) {
    for (int o = 0; o < depthwise->outputs; o++) {
      begin(depthwise, o, act->sums, a->columns);
      add_taps(act->sums, depthwise->w + 9 * o, a, o / 4, y);
      finish(depthwise, act->sums, nv_row(&act->h, o, 0), a->columns);
    }
    for (int s = 0; s < pointwise->outputs; s++) {
      begin(pointwise, s, act->sums, a->columns);
      for (int j = 0; j < pointwise->inputs; j++)
        add_product(act->sums, pointwise->w[s * pointwise->inputs + j], nv_row(&act->h, j, 0), a->columns);
      finish(pointwise, act->sums, nv_row(&act->subplanes, s, y), a->columns);
    }
  }
}

/* 7.1 */
void nv_synthesise(nvrc_decoder *d, int64_t t) {
  Activations *act = &d->gop.act;
  const Layer *filter = nv_layer(&d->network, TEMPORAL, 0, 0);
  Array *a = &act->a[0], *other = &act->a[1], *swap;
  if (d->network.grid_mask & NODE_SLOTS) d->gop.planes.current = nv_planes(d, t);
  injection(d, 0, t, &act->injection[1]);
  if (filter) temporal(d, filter, t);
  shape(d, a, 0, 0);
  append(a, act->injection[1].v, act->injection[1].channels);
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
