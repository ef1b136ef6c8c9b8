/* 7.6.1 to 7.6.3: displacements and blend weights, half samples, prediction. */
#include "internal.h"

/* 7.6.1: frames of the pyramid after the last frame have the motion of the last frame. */
static int64_t not_after_last(const nvrc_decoder *d, int64_t t) {
  return t < d->gop.frame_count ? t : d->gop.frame_count - 1;
}

/* Channel c of split(t) at a cell. */
static int32_t split_at(const Planes *p, int c, int y, int x) {
  return p->split.channels == 0 ? 0 : nv_row(&p->split, c, y / 2)[x / 2];
}

/* 7.6.1: displacement(t, r); flow[0] and split are those of frame t. */
static void displacement(nvrc_decoder *d, int64_t t, int64_t r, Array *out) {
  Planes *p = &d->gop.planes;
  size_t points = 2 * (size_t)p->by16.rows * (size_t)p->by16.columns;
  int sign = r < t ? 1 : -1;
  nv_node_activations(d, FLOW_SLOT, not_after_last(d, r), &p->flow[1]);
  for (size_t i = 0; i < points; i++) p->by16.v[i] = (int16_t)(4 * (p->flow[1].v[i] - p->flow[0].v[i]));
  nv_double(&p->by16, 2, &p->by8);
  nv_double(&p->by8, 2, out);
  for (int c = 0; c < 2; c++)
    for (int y = 0; y < out->rows; y++) {
      int16_t *row = nv_row(out, c, y);
      for (int x = 0; x < out->columns; x++) row[x] = (int16_t)(row[x] + sign * split_at(p, c, y, x));
    }
}

/* 7.6.1: weight(t, share) */
static void blend_weight(Planes *p, int share) {
  size_t points = (size_t)p->by16.rows * (size_t)p->by16.columns;
  memcpy(p->by16.v, nv_row(&p->flow[0], 2, 0), points * sizeof *p->by16.v);
  nv_double(&p->by16, 1, &p->by8);
  nv_double(&p->by8, 1, &p->weight);
  for (int y = 0; y < p->weight.rows; y++) {
    int16_t *row = nv_row(&p->weight, 0, y);
    for (int x = 0; x < p->weight.columns; x++) row[x] = (int16_t)nv_clip(share + row[x] + split_at(p, 2, y, x), 0, 32);
  }
}

/* The displacements from frame t to its references a and b, and the weight of b. Without FlowSlot the displacements
 * stay 0. */
void nv_motion(nvrc_decoder *d, int64_t t, int64_t a, int64_t b, int share) {
  Planes *p = &d->gop.planes;
  if (!nv_present(&d->network, FLOW_SLOT)) {
    size_t cells = (size_t)p->weight.rows * (size_t)p->weight.columns;
    for (size_t i = 0; i < cells; i++) p->weight.v[i] = (int16_t)share;
    return;
  }
  nv_node_activations(d, FLOW_SLOT, not_after_last(d, t), &p->flow[0]);
  if (p->split.channels) nv_node_activations(d, SPLIT_SLOT, not_after_last(d, t), &p->split);
  displacement(d, t, a, &p->displacement[0]);
  displacement(d, t, b, &p->displacement[1]);
  blend_weight(p, share);
}

/* 7.6.2: n values that are `step` apart become 2 * n - 1 values, in `out` and `out_step` apart. */
static void halves(const int16_t *v, size_t step, int n, int16_t *out, size_t out_step) {
  for (int i = 0; i < n; i++) out[2 * (size_t)i * out_step] = v[(size_t)i * step];
  for (int i = 0; i < n - 1; i++) {
    int32_t e0 = v[(size_t)(i > 0 ? i - 1 : 0) * step], e1 = v[(size_t)i * step];
    int32_t e2 = v[(size_t)(i + 1) * step], e3 = v[(size_t)(i + 2 < n ? i + 2 : n - 1) * step];
    out[(2 * (size_t)i + 1) * out_step] = nv_activation((-3 * e0 + 19 * e1 + 19 * e2 - 3 * e3 + 16) >> 5);
  }
}

/* 7.6.2: the rows of the first pass lie where the second pass leaves them: in the even rows of the result. */
void nv_refine(const Array *plane, Array *half) {
  size_t columns = (size_t)half->columns;
  for (int c = 0; c < plane->channels; c++) {
    for (int y = 0; y < plane->rows; y++) halves(nv_row(plane, c, y), 1, plane->columns, nv_row(half, c, 2 * y), 1);
    int16_t *first = nv_row(half, c, 0);
    for (size_t x = 0; x < columns; x++) halves(first + x, 2 * columns, plane->rows, first + x, columns);
  }
}

/* 7.6.3: `half` is refine(P). */
static int32_t fetch(const Array *half, int plane, const Array *displacement, int step, int y, int x) {
  int cell_y = step == 4 ? y : y / 4, cell_x = step == 4 ? x : x / 4;
  int32_t dy = nv_row(displacement, 0, cell_y)[cell_x], dx = nv_row(displacement, 1, cell_y)[cell_x];
  if (step == 4) {
    dy = (dy + 2) >> 2;
    dx = (dx + 2) >> 2;
  }
  int32_t v = 32 * y + dy, h = 32 * x + dx;
  int32_t i = v >> 4, j = h >> 4, fy = v & 15, fx = h & 15;
  const int16_t *upper = nv_row(half, plane, nv_clip(i, 0, half->rows - 1));
  const int16_t *lower = nv_row(half, plane, nv_clip(i + 1, 0, half->rows - 1));
  int32_t left = nv_clip(j, 0, half->columns - 1), right = nv_clip(j + 1, 0, half->columns - 1);
  return (16 - fy) * (16 - fx) * upper[left] + (16 - fy) * fx * upper[right] + fy * (16 - fx) * lower[left] +
         fy * fx * lower[right];
}

/* 7.6.3: predicts all planes of a set from those of its references, refined to half samples. */
void nv_predict(const nvrc_decoder *d, const Array *pa, const Array *pb, int step, Array *out) {
  const Planes *p = &d->gop.planes;
  for (int c = 0; c < out->channels; c++)
    for (int y = 0; y < out->rows; y++) {
      const int16_t *weights = nv_row(&p->weight, 0, step == 4 ? y : y / 4);
      int16_t *row = nv_row(out, c, y);
      for (int x = 0; x < out->columns; x++) {
        int32_t w = weights[step == 4 ? x : x / 4];
        int32_t a = fetch(pa, c, &p->displacement[0], step, y, x), b = fetch(pb, c, &p->displacement[1], step, y, x);
        row[x] = (int16_t)((a * (32 - w) + b * w + 4096) >> 13);
      }
    }
}
