/* 7.6.5: the wavelet of the luma plane. */
#include "internal.h"

/* A row or a column: values that are `step` apart. */
typedef struct {
  int16_t *v;
  size_t step;
} Line;

static int16_t at(Line line, int i) { return line.v[(size_t)i * line.step]; }

/* n values of low and n of high become 2 * n values of out. */
static void inverse(Line low, Line high, int n, Line out, int32_t *lifting) {
  int32_t *s = lifting, *d = lifting + n;
  for (int i = 0; i < n; i++) s[i] = (315 * at(low, i) + 128) >> 8;
  for (int i = 0; i < n; i++) d[i] = at(high, i);
  for (int i = 0; i < n; i++) s[i] -= (57 * (d[i > 0 ? i - 1 : 0] + d[i]) + 64) >> 7;
  for (int i = 0; i < n; i++) d[i] -= (113 * (s[i] + s[i + 1 < n ? i + 1 : i]) + 64) >> 7;
  for (int i = 0; i < n; i++) s[i] += (217 * (d[i > 0 ? i - 1 : 0] + d[i]) + 2048) >> 12;
  for (int i = 0; i < n; i++) d[i] += (203 * (s[i] + s[i + 1 < n ? i + 1 : i]) + 64) >> 7;
  for (int i = 0; i < n; i++) {
    out.v[2 * (size_t)i * out.step] = nv_activation(s[i]);
    out.v[(2 * (size_t)i + 1) * out.step] = nv_activation(d[i]);
  }
}

static Line column(const Array *a, int c, int x) {
  Line line = {nv_row(a, c, 0) + x, (size_t)a->columns};
  return line;
}

static Line row(const Array *a, int c, int y) {
  Line line = {nv_row(a, c, y), 1};
  return line;
}

/* level(Low, HL, LH, HH): HL, LH and HH are the channels of `band` from `first` on. Only their rows and columns of Low
 * are read, which crops it. The result may take the place of Low, which the first pass has read to the end. */
static void level(const Array *low, const Array *band, int first, Array *rows, Array *out, int32_t *lifting) {
  rows->rows = 2 * band->rows;
  rows->columns = band->columns;
  for (int x = 0; x < band->columns; x++) {
    inverse(column(low, 0, x), column(band, first + 1, x), band->rows, column(rows, 0, x), lifting);
    inverse(column(band, first, x), column(band, first + 2, x), band->rows, column(rows, 1, x), lifting);
  }
  out->rows = 2 * band->rows;
  out->columns = 2 * band->columns;
  for (int y = 0; y < out->rows; y++) inverse(row(rows, 0, y), row(rows, 1, y), band->columns, row(out, 0, y), lifting);
}

/* luma_residual(n), into residual[1] */
void nv_luma_residual(nvrc_decoder *d, int64_t n) {
  Planes *p = &d->gop.planes;
  Array *low = &p->residual[1];
  for (int slot = FIRST_BAND; slot <= LAST_BAND; slot++) {
    nv_node_activations(d, slot, n, &p->band);
    if (slot == FIRST_BAND)
      level(&p->band, &p->band, 1, &p->rows, low, p->lifting);
    else
      level(low, &p->band, 0, &p->rows, low, p->lifting);
  }
}
