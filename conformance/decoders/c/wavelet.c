/* 7.6.5: the wavelet of the luma plane. Values are in quarters of an activation step. */
#include "internal.h"

/* The last four lines of `inverse`: v += (factor * (a + b) + rounding) >> shift. The first two of them subtract, and
 * -(n >> k) is (2^k - 1 - n) >> k. Values between the lines need 32 bits, as the table in 7.6.5 shows; low, high and
 * out do not. */
typedef struct {
  int factor, rounding, shift;
} Line;

static const Line lines[4] = {{-7, 7, 4}, {-113, 63, 7}, {217, 2048, 12}, {203, 64, 7}};

static int16_t clip_quarters(int32_t v) { return (int16_t)nv_clip(v, 4 * ACTIVATION_MIN, 4 * ACTIVATION_MAX); }

static void lift(const Line *line, int32_t *restrict v, const int32_t *a, const int32_t *b, int n) {
  const int factor = line->factor, rounding = line->rounding, shift = line->shift;
  for (int i = 0; i < n; i++) v[i] += (factor * (a[i] + b[i]) + rounding) >> shift;
}

/* The first two lines. */
static void start(const int16_t *low, const int16_t *high, int32_t *restrict s, int32_t *restrict d, int n) {
  for (int i = 0; i < n; i++) s[i] = (315 * low[i] + 128) >> 8;
  for (int i = 0; i < n; i++) d[i] = high[i];
}

/* inverse of two rows of n values, to a row of 2 * n. `lifting` has space for 2 * n values. */
static void inverse_row(const int16_t *low, const int16_t *high, int n, int16_t *restrict out, int32_t *lifting) {
  int32_t *s = lifting, *d = lifting + n;
  start(low, high, s, d, n);
  for (int line = 0; line < 4; line += 2) {
    lift(&lines[line], s, d, d, 1);
    lift(&lines[line], s + 1, d, d + 1, n - 1);
    lift(&lines[line + 1], d, s, s + 1, n - 1);
    lift(&lines[line + 1], d + n - 1, s + n - 1, s + n - 1, 1);
  }
  for (int i = 0; i < n; i++) {
    out[2 * i] = clip_quarters(s[i]);
    out[2 * i + 1] = clip_quarters(d[i]);
  }
}

/* A channel of an array */
typedef struct {
  const Array *a;
  int c;
} Plane;

static int16_t *row_of(Plane p, int y) { return nv_row(p.a, p.c, y); }

/* inverse of all columns of two bands, a strip of columns at a time. `lifting` has space for 2 * rows rows of a strip:
 * s[i] is its row 2 * i, d[i] the next one. */
static void inverse_columns(Plane low, Plane high, int rows, int columns, Plane out, int32_t *lifting) {
  for (int x = 0; x < columns; x += LIFTING_STRIP) {
    const int n = columns - x < LIFTING_STRIP ? columns - x : LIFTING_STRIP;
    for (int i = 0; i < rows; i++) {
      int32_t *s = lifting + 2 * i * LIFTING_STRIP;
      start(row_of(low, i) + x, row_of(high, i) + x, s, s + LIFTING_STRIP, n);
    }
    for (int line = 0; line < 4; line += 2) {
      for (int y = 0; y < 2 * rows; y += 2) {
        int32_t *v = lifting + y * LIFTING_STRIP, *below = v + LIFTING_STRIP;
        lift(&lines[line], v, y > 0 ? v - LIFTING_STRIP : below, below, n);
      }
      for (int y = 1; y < 2 * rows; y += 2) {
        int32_t *v = lifting + y * LIFTING_STRIP, *above = v - LIFTING_STRIP;
        lift(&lines[line + 1], v, above, y + 1 < 2 * rows ? v + LIFTING_STRIP : above, n);
      }
    }
    for (int y = 0; y < 2 * rows; y++)
      for (int i = 0; i < n; i++) row_of(out, y)[x + i] = clip_quarters(lifting[y * LIFTING_STRIP + i]);
  }
}

/* level(Low, HL, LH, HH): HL, LH and HH are the channels of `band` from `first` on. Only their rows and columns of Low
 * are read, which crops it. The result may take the place of Low, which the first pass has read to the end. */
static void level(const Array *low, const Array *band, int first, Array *rows, Array *out, int32_t *lifting) {
  Plane ll = {low, 0}, hl = {band, first}, lh = {band, first + 1}, hh = {band, first + 2};
  Plane l = {rows, 0}, g = {rows, 1};
  rows->rows = 2 * band->rows;
  rows->columns = band->columns;
  inverse_columns(ll, lh, band->rows, band->columns, l, lifting);
  inverse_columns(hl, hh, band->rows, band->columns, g, lifting);
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
    size_t values = nv_values(&p->band);
    for (size_t i = 0; i < values; i++) p->band.v[i] = (int16_t)(4 * p->band.v[i]);
    if (slot == FIRST_BAND)
      level(&p->band, &p->band, 1, &p->rows, low, p->lifting);
    else
      level(low, &p->band, 0, &p->rows, low, p->lifting);
  }
  size_t values = nv_values(low);
  for (size_t i = 0; i < values; i++) low->v[i] = (int16_t)((low->v[i] + 2) >> 2);
}
