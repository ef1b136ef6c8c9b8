/* 6.2: layers, for a row of positions at a time. `sums` collects one output of each position. The loops run over
 * columns, and over several inputs in one pass, so that a compiler turns them into vector instructions. */
#include "internal.h"

/* Begins the sums of an output: its bias and the rounding. */
void nv_begin(const Layer *l, int32_t bias, int32_t *sums, int columns) {
  int32_t start = bias + nv_rounding(l);
  for (int x = 0; x < columns; x++) sums[x] = start;
}

/* Adds four inputs. By R6.1 a weight fits in 16 bits, and the product of two such numbers is cheap. */
static void add_four(int32_t *restrict sums, const int32_t *w, const int16_t *const *v, int columns) {
  const int16_t w0 = (int16_t)w[0], w1 = (int16_t)w[1], w2 = (int16_t)w[2], w3 = (int16_t)w[3];
  const int16_t *v0 = v[0], *v1 = v[1], *v2 = v[2], *v3 = v[3];
  for (int x = 0; x < columns; x++) sums[x] += w0 * v0[x] + w1 * v1[x] + w2 * v2[x] + w3 * v3[x];
}

static void add_one(int32_t *restrict sums, int32_t weight, const int16_t *v, int columns) {
  const int16_t w = (int16_t)weight;
  for (int x = 0; x < columns; x++) sums[x] += w * v[x];
}

/* Adds `count` inputs: w[i] * v[i][x] at each column x. */
void nv_add_rows(int32_t *sums, const int32_t *w, const int16_t *const *v, int count, int columns) {
  int i = 0;
  for (; i + 4 <= count; i += 4) add_four(sums, w + i, v + i, columns);
  for (; i < count; i++) add_one(sums, w[i], v[i], columns);
}

void nv_finish(const Layer *l, const int32_t *restrict sums, int16_t *restrict out, int columns) {
  const int32_t lo = l->lo, hi = l->hi;
  const int shift = l->shift;
  for (int x = 0; x < columns; x++) out[x] = (int16_t)nv_clip(sums[x] >> shift, lo, hi);
}

/* 7.3: the taps of channel c at row y, in the order of weights. tap[3 * i + j][x] is what tap (i, j) reads at column
 * x + 1, so that no pointer leaves its row to the left. `zeros` has columns + 2 zeros, for what lies outside. */
void nv_list_taps(const Array *a, int c, int y, const int16_t *zeros, const int16_t **tap) {
  for (int i = 0; i < 3; i++) {
    int inside = y + i - 1 >= 0 && y + i - 1 < a->rows;
    const int16_t *row = inside ? nv_row(a, c, y + i - 1) : zeros;
    for (int j = 0; j < 3; j++) tap[3 * i + j] = (j == 2 && a->columns == 1 ? zeros : row) + j;
  }
}

/* 7.3: adds taps; the first and the last column have none on their outer side. */
void nv_add_taps(int32_t *sums, const int32_t *w, const int16_t *const *tap, int count, int columns) {
  for (int i = 0; i < count; i++) {
    if (i % 3 != 0) sums[0] += w[i] * tap[i][-1];
    if (i % 3 != 2 && columns > 1) sums[columns - 1] += w[i] * tap[i][columns - 2];
  }
  if (columns > 2) nv_add_rows(sums + 1, w, tap, count, columns - 2);
}

/* 7.10: row of the samples that are `nearer` and `farther`, doubled; `sums` has space for `size` values. */
void nv_double_row(const int16_t *nearer, const int16_t *farther, int size, int32_t *restrict sums,
                   int16_t *restrict out, int columns) {
  const int last = size - 1;
  for (int x = 0; x < size; x++) sums[x] = 3 * nearer[x] + farther[x];
  out[0] = (int16_t)((4 * sums[0] + 8) >> 4);
  for (int x = 0; x < last; x++) {
    out[2 * x + 1] = (int16_t)((3 * sums[x] + sums[x + 1] + 8) >> 4);
    out[2 * x + 2] = (int16_t)((3 * sums[x + 1] + sums[x] + 8) >> 4);
  }
  if (columns == 2 * size) out[columns - 1] = (int16_t)((4 * sums[last] + 8) >> 4);
}

/* 7.10 */
void nv_near_and_far(int v, int size, int *nearer, int *farther) {
  *nearer = v / 2;
  *farther = v % 2 == 0 ? (v / 2 > 0 ? v / 2 - 1 : 0) : (v / 2 + 1 < size ? v / 2 + 1 : size - 1);
}
