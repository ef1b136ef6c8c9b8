/* 7.6.1 to 7.6.3: displacements and blend weights, half samples, prediction. */
#include "internal.h"

/* 7.6.1: frames of the pyramid after the last frame have the motion of the last frame. */
static int64_t not_after_last(const nvrc_decoder *d, int64_t t) {
  return t < d->gop.frame_count ? t : d->gop.frame_count - 1;
}

/* 7.10: double of the first `channels` channels of a; the size is that of `out`. */
static void double_channels(nvrc_decoder *d, const Array *a, int channels, Array *out) {
  for (int c = 0; c < channels; c++)
    for (int y = 0; y < out->rows; y++) {
      int y0, y1;
      nv_near_and_far(y, a->rows, &y0, &y1);
      nv_double_row(nv_row(a, c, y0), nv_row(a, c, y1), a->columns, d->gop.act.sums, nv_row(out, c, y), out->columns);
    }
}

/* 7.6.1: from points that are 16 luma samples apart to cells. */
static void to_cells(nvrc_decoder *d, int channels, Array *out) {
  Planes *p = &d->gop.planes;
  double_channels(d, &p->by16, channels, &p->by8);
  double_channels(d, &p->by8, channels, out);
}

/* 7.6.1: adds sign * split(t) to a row of cells. */
static void add_split(const Planes *p, int c, int y, int sign, int16_t *restrict row, int columns) {
  if (p->split.channels == 0) return;
  const int16_t *restrict split = nv_row(&p->split, c, y / 2);
  for (int x = 0; x < columns; x++) row[x] = (int16_t)(row[x] + sign * split[x / 2]);
}

/* 7.6.1: displacement(t, r); flow[0] and split are those of frame t. */
static void displacement(nvrc_decoder *d, int64_t t, int64_t r, Array *out) {
  Planes *p = &d->gop.planes;
  size_t points = 2 * (size_t)p->by16.rows * (size_t)p->by16.columns;
  nv_node_activations(d, FLOW_SLOT, not_after_last(d, r), &p->flow[1]);
  for (size_t i = 0; i < points; i++) p->by16.v[i] = (int16_t)(4 * (p->flow[1].v[i] - p->flow[0].v[i]));
  to_cells(d, 2, out);
  for (int c = 0; c < 2; c++)
    for (int y = 0; y < out->rows; y++) add_split(p, c, y, r < t ? 1 : -1, nv_row(out, c, y), out->columns);
}

/* 7.6.1: weight(t, share) */
static void blend_weight(nvrc_decoder *d, int share) {
  Planes *p = &d->gop.planes;
  size_t points = (size_t)p->by16.rows * (size_t)p->by16.columns;
  memcpy(p->by16.v, nv_row(&p->flow[0], 2, 0), points * sizeof *p->by16.v);
  to_cells(d, 1, &p->weight);
  for (int y = 0; y < p->weight.rows; y++) {
    int16_t *row = nv_row(&p->weight, 0, y);
    add_split(p, 2, y, 1, row, p->weight.columns);
    for (int x = 0; x < p->weight.columns; x++) row[x] = (int16_t)nv_clip(share + row[x], 0, 32);
  }
}

/* The displacements from frame t to its references a and b, and the weight of b. Without FlowSlot the displacements
 * stay 0. */
void nv_motion(nvrc_decoder *d, int64_t t, int64_t a, int64_t b, int share) {
  Planes *p = &d->gop.planes;
  if (!nv_present(&d->network, FLOW_SLOT)) {
    size_t cells = nv_values(&p->weight);
    for (size_t i = 0; i < cells; i++) p->weight.v[i] = (int16_t)share;
    return;
  }
  nv_node_activations(d, FLOW_SLOT, not_after_last(d, t), &p->flow[0]);
  if (p->split.channels) nv_node_activations(d, SPLIT_SLOT, not_after_last(d, t), &p->split);
  displacement(d, t, a, &p->displacement[0]);
  displacement(d, t, b, &p->displacement[1]);
  blend_weight(d, share);
}

/* 7.6.2: n samples halfway between e1 and e2 */
static void halfway(const int16_t *e0, const int16_t *e1, const int16_t *e2, const int16_t *e3, int16_t *restrict out,
                    int n) {
  for (int x = 0; x < n; x++) out[x] = nv_activation((19 * (e1[x] + e2[x]) - 3 * (e0[x] + e3[x]) + 16) >> 5);
}

/* 7.6.2: the samples between those of a row; they are one less. */
static void between_columns(const int16_t *v, int columns, int16_t *out) {
  int last = columns - 1;
  if (columns < 2) return;
  halfway(v, v, v + 1, v + (last < 2 ? 1 : 2), out, 1);
  if (columns < 3) return;
  halfway(v, v + 1, v + 2, v + 3, out + 1, columns - 3);
  halfway(v + last - 2, v + last - 1, v + last, v + last, out + last - 1, 1);
}

/* 7.6.2: the rows between those of a channel */
static void between_rows(const Array *a, int c, Array *out) {
  for (int y = 0; y < a->rows - 1; y++)
    halfway(nv_row(a, c, y > 0 ? y - 1 : 0), nv_row(a, c, y), nv_row(a, c, y + 1),
            nv_row(a, c, y + 2 < a->rows ? y + 2 : y + 1), nv_row(out, c, y), a->columns);
}

/* 7.6.2: refines phase[0], which is P, to half samples. */
void nv_refine(Halves *s) {
  const Array *p = &s->phase[0];
  for (int c = 0; c < p->channels; c++) {
    for (int y = 0; y < p->rows; y++) between_columns(nv_row(p, c, y), p->columns, nv_row(&s->phase[1], c, y));
    between_rows(p, c, &s->phase[2]);
    between_rows(&s->phase[1], c, &s->phase[3]);
  }
}

/* 7.6.3: where a row i and a column j of refine(P) are. */
static const int16_t *at(const Halves *s, int c, int32_t i, int32_t j) {
  return nv_row(&s->phase[2 * (i & 1) + (j & 1)], c, i >> 1) + (j >> 1);
}

/* 7.6.3: fetches the `size` x `size` samples of a cell from plane c; (v, h) is the position of the first one. */
static void fetch(const Halves *s, int c, int32_t v, int32_t h, int size, int32_t out[16]) {
  const int last_row = 2 * s->phase[0].rows - 2, last_column = 2 * s->phase[0].columns - 2;
  const int32_t i = v >> 4, j = h >> 4, fy = v & 15, fx = h & 15;
  const int16_t w00 = (int16_t)((16 - fy) * (16 - fx)), w01 = (int16_t)((16 - fy) * fx);
  const int16_t w10 = (int16_t)(fy * (16 - fx)), w11 = (int16_t)(fy * fx);
  if (i < 0 || j < 0 || i + 2 * size - 1 > last_row || j + 2 * size - 1 > last_column) {
    for (int n = 0; n < size * size; n++) { /* the edge is repeated */
      int32_t y = i + 2 * (n / size), x = j + 2 * (n % size);
      int32_t y0 = nv_clip(y, 0, last_row), y1 = nv_clip(y + 1, 0, last_row);
      int32_t x0 = nv_clip(x, 0, last_column), x1 = nv_clip(x + 1, 0, last_column);
      out[n] = w00 * *at(s, c, y0, x0) + w01 * *at(s, c, y0, x1) + w10 * *at(s, c, y1, x0) + w11 * *at(s, c, y1, x1);
    }
    return;
  }
  const int16_t *p00 = at(s, c, i, j), *p01 = at(s, c, i, j + 1);
  const int16_t *p10 = at(s, c, i + 1, j), *p11 = at(s, c, i + 1, j + 1);
  const int columns = s->phase[0].columns;
  if (size == 1) {
    out[0] = w00 * *p00 + w01 * *p01 + w10 * *p10 + w11 * *p11;
    return;
  }
  for (int y = 0; y < 4; y++, p00 += columns, p01 += columns, p10 += columns, p11 += columns, out += 4)
    for (int x = 0; x < 4; x++) out[x] = w00 * p00[x] + w01 * p01[x] + w10 * p10[x] + w11 * p11[x];
}

/* 7.6.3: fetches what one reference gives to the cell (y, x). */
static void fetch_cell(const Halves *s, int c, const Array *displacement, int step, int y, int x, int32_t out[16]) {
  int32_t dy = nv_row(displacement, 0, y)[x], dx = nv_row(displacement, 1, y)[x];
  if (step == 4)
    fetch(s, c, 32 * y + ((dy + 2) >> 2), 32 * x + ((dx + 2) >> 2), 1, out);
  else
    fetch(s, c, 128 * y + dy, 128 * x + dx, 4, out);
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* 7.6.3: predicts all planes of a set from those of its references. A cell has 4 / step rows and columns of them. */
void nv_predict(const nvrc_decoder *d, const Halves *pa, const Halves *pb, int step, Array *out) {
  const Planes *p = &d->gop.planes;
  const int size = 4 / step;
  int32_t a[16] = {0}, b[16] = {0};
  for (int c = 0; c < out->channels; c++)
    for (int y = 0; size * y < out->rows; y++)
      for (int x = 0; size * x < out->columns; x++) {
        int32_t w = nv_row(&p->weight, 0, y)[x];
        int rows = smaller(size, out->rows - size * y), columns = smaller(size, out->columns - size * x);
        fetch_cell(pa, c, &p->displacement[0], step, y, x, a);
        if (pa == pb)
          memcpy(b, a, sizeof b); /* a key: both are the same */
        else
          fetch_cell(pb, c, &p->displacement[1], step, y, x, b);
        for (int i = 0; i < 16; i++) a[i] = (a[i] * (32 - w) + b[i] * w + 4096) >> 13;
        for (int r = 0; r < rows; r++)
          for (int i = 0; i < columns; i++) nv_row(out, c, size * y + r)[size * x + i] = (int16_t)a[4 * r + i];
      }
}
