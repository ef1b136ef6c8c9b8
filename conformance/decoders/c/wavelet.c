/* 7.6.5: the wavelet of the luma plane. */
#include "internal.h"

/* The last four lines of `inverse`: v += (factor * (a + b) + rounding) >> shift. The first two of them subtract, and
 * -(n >> 7) is (127 - n) >> 7. All values between them fit in 16 bits, as the table in 7.6.5 shows. */
typedef struct {
  int factor, rounding, shift;
} Line;

static const Line lines[4] = {{-57, 63, 7}, {-113, 63, 7}, {217, 2048, 12}, {203, 64, 7}};

static void lift(const Line *line, int16_t *restrict v, const int16_t *a, const int16_t *b, int n) {
  const int factor = line->factor, rounding = line->rounding, shift = line->shift;
  for (int i = 0; i < n; i++) v[i] = (int16_t)(v[i] + ((factor * (a[i] + b[i]) + rounding) >> shift));
}

static void scale(const int16_t *restrict low, int16_t *restrict s, int n) {
  for (int i = 0; i < n; i++) s[i] = (int16_t)((315 * low[i] + 128) >> 8);
}

/* inverse of two rows of n values, to a row of 2 * n. `lifting` has space for 2 * n values. */
static void inverse_row(const int16_t *low, const int16_t *high, int n, int16_t *restrict out, int16_t *lifting) {
  int16_t *s = lifting, *d = lifting + n;
  scale(low, s, n);
  memcpy(d, high, (size_t)n * sizeof *d);
  for (int line = 0; line < 4; line += 2) {
    lift(&lines[line], s, d, d, 1);
    lift(&lines[line], s + 1, d, d + 1, n - 1);
    lift(&lines[line + 1], d, s, s + 1, n - 1);
    lift(&lines[line + 1], d + n - 1, s + n - 1, s + n - 1, 1);
  }
  for (int i = 0; i < n; i++) {
    out[2 * i] = nv_activation(s[i]);
    out[2 * i + 1] = nv_activation(d[i]);
  }
}

/* A channel of an array */
typedef struct {
  const Array *a;
  int c;
} Plane;

static int16_t *row_of(Plane p, int y) { return nv_row(p.a, p.c, y); }

/* inverse of all columns of two bands, as vectors that are a row: s[i] lies in row 2 * i of out, d[i] in the next. */
static void inverse_columns(Plane low, Plane high, int rows, int columns, Plane out) {
  for (int i = 0; i < rows; i++) {
    scale(row_of(low, i), row_of(out, 2 * i), columns);
    memcpy(row_of(out, 2 * i + 1), row_of(high, i), (size_t)columns * sizeof(int16_t));
  }
  for (int line = 0; line < 4; line += 2) {
    for (int y = 0; y < 2 * rows; y += 2)
      lift(&lines[line], row_of(out, y), row_of(out, y > 0 ? y - 1 : 1), row_of(out, y + 1), columns);
    for (int y = 1; y < 2 * rows; y += 2)
      lift(&lines[line + 1], row_of(out, y), row_of(out, y - 1), row_of(out, y + 1 < 2 * rows ? y + 1 : y - 1),
           columns);
  }
  int16_t *all = row_of(out, 0);
  for (size_t i = 0; i < 2 * (size_t)rows * (size_t)columns; i++) all[i] = nv_activation(all[i]);
}

/* level(Low, HL, LH, HH): HL, LH and HH are the channels of `band` from `first` on. Only their rows and columns of Low
 * are read, which crops it. The result may take the place of Low, which the first pass has read to the end. */
static void level(const Array *low, const Array *band, int first, Array *rows, Array *out, int16_t *lifting) {
  Plane ll = {low, 0}, hl = {band, first}, lh = {band, first + 1}, hh = {band, first + 2};
  Plane l = {rows, 0}, g = {rows, 1};
  rows->rows = 2 * band->rows;
  rows->columns = band->columns;
  inverse_columns(ll, lh, band->rows, band->columns, l);
  inverse_columns(hl, hh, band->rows, band->columns, g);
  out->rows = 2 * band->rows;
  out->columns = 2 * band->columns;
  for (int y = 0; y < out->rows; y++)
    inverse_row(row_of(l, y), row_of(g, y), band->columns, nv_row(out, 0, y), lifting);
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
