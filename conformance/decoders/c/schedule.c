/* 5.1, 5.2: the order in which the values of a grid are coded. Axes are numbered t 0, y 1, x 2; in the bits of halve
 * and phase the order is the opposite. */
#include "internal.h"

enum { T = 4 }; /* the bit of t */

static int has(int axes, int axis) { return axes >> (2 - axis) & 1; }

/* The positions of a step: start, start + stride, ... below the size of the grid, along each axis. */
typedef struct {
  int64_t start[3], stride[3];
} Lattice;

static int64_t size_along(const Grid *g, int axis) { return axis == 0 ? g->nodes : axis == 1 ? g->rows : g->columns; }

static int is_empty(const Grid *g, int64_t n) { return g->node_map && !(g->node_map[n / 8] >> (n % 8) & 1); }

/* What is done with each step of a grid. */
typedef Status Visit(GridDecoder *g, const Lattice *s, int level_index, int ordinal);

/* The positions of a step in a row. */
static Run first_row(const Grid *grid, const Lattice *s) {
  Run run = {s->start[0], s->start[1], s->start[2], s->stride[2], 0, 0};
  run.count = (int)nv_ceil_div(grid->columns - s->start[2], s->stride[2]);
  return run;
}

/* 5.2: code_step */
static Status code_step(GridDecoder *g, const Lattice *s, int level_index, int ordinal) {
  const Grid *grid = g->grid;
  Run run = first_row(grid, s);
  size_t symbols = 0;
  nv_context_step(g, level_index, ordinal);
  for (run.n = s->start[0]; run.n < grid->nodes; run.n += s->stride[0]) {
    if (is_empty(grid, run.n)) continue;
    for (run.c = 0; run.c < grid->channels; run.c++)
      for (run.y = s->start[1]; run.y < grid->rows; run.y += s->stride[1], symbols += (size_t)run.count)
        nv_context_row(g, &run, g->table + symbols, g->mean + symbols);
  }
  TRY(nv_decode_step(&g->rans, symbols, g->table, g->mean, Q_MAX, g->order, g->value));
  const int32_t *value = g->value;
  for (run.n = s->start[0]; run.n < grid->nodes; run.n += s->stride[0])
    for (run.y = s->start[1]; run.y < grid->rows; run.y += s->stride[1]) {
      uint8_t *decoded = g->decoded + (run.n * grid->rows + run.y) * grid->columns + run.x;
      for (int k = 0; k < run.count; k++) decoded[k * run.stride] = 1;
    }
  for (run.n = s->start[0]; run.n < grid->nodes; run.n += s->stride[0]) {
    if (is_empty(grid, run.n)) continue;
    for (run.c = 0; run.c < grid->channels; run.c++)
      for (run.y = s->start[1]; run.y < grid->rows; run.y += s->stride[1]) {
        int16_t *q = grid->q + nv_index(grid, run.n, run.c, run.y, run.x);
        for (int k = 0; k < run.count; k++) q[k * run.stride] = (int16_t)*value++;
      }
  }
  return 0;
}

/* Finds the number of values of the largest step, empty nodes included. */
static Status measure_step(GridDecoder *g, const Lattice *s, int level_index, int ordinal) {
  size_t values = (size_t)g->grid->channels;
  (void)level_index;
  (void)ordinal;
  for (int axis = 0; axis < 3; axis++)
    values *= (size_t)nv_ceil_div(size_along(g->grid, axis) - s->start[axis], s->stride[axis]);
  if (values > g->largest_step) g->largest_step = values;
  return 0;
}

static int ceil_log2(int64_t a) {
  int n = 0;
  while ((int64_t)1 << n < a) n++;
  return n;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* 5.1: writes the splits of the grid's schedule and returns their number. */
static int list_splits(const GridHeader *header, const Grid *g, uint8_t split[MAX_SPLITS]) {
  int count = 0, in_plane = ceil_log2(larger(g->rows, g->columns)), in_time = ceil_log2(g->nodes);
  if (header->schedule == 2) {
    memcpy(split, header->split, MAX_SPLITS);
    return header->num_splits;
  }
  if (header->schedule == 1) {
    int all = ceil_log2(larger(g->nodes, larger(g->rows, g->columns)));
    while (count < all) split[count++] = 0x07;
    return count;
  }
  while (count < in_plane) split[count++] = 0x03;
  while (count < in_plane + in_time) split[count++] = 0x34;
  return count;
}

/* 5.4 */
static int level_index(int halve, const int64_t spacing[3]) {
  int kind = halve == T ? 0 : halve & T ? 2 : 1;
  int64_t largest = 1;
  for (int axis = 0; axis < 3; axis++)
    if (has(halve, axis)) largest = larger(largest, spacing[axis]);
  int level = ceil_log2(largest);
  return 4 * kind + (level < 3 ? level : 3);
}

/* 5.2: the steps of one split. `old` is Spacing before it. */
static Status split_steps(GridDecoder *g, int halve, int phase, const int64_t old[3], Visit *visit) {
  int level = level_index(halve, g->spacing), ordinal = 0;
  for (int e = 1; e < 8; e++) {
    if (e & ~halve) continue;
    for (int p = 0; p < 8; p++) {
      Lattice s;
      int empty = 0;
      if (p & ~phase) continue;
      for (int axis = 0; axis < 3; axis++) {
        s.stride[axis] = has(phase, axis) ? 2 * old[axis] : old[axis];
        s.start[axis] = (has(e, axis) + has(p, axis)) * g->spacing[axis];
        if (s.start[axis] >= size_along(g->grid, axis)) empty = 1;
      }
      if (!empty) TRY(visit(g, &s, level, ordinal));
      ordinal++;
    }
  }
  return 0;
}

/* 5.2: decode_grid, with `visit` in the place of code_step. */
static Status walk(GridDecoder *g, Visit *visit) {
  uint8_t split[MAX_SPLITS];
  int count = list_splits(&g->network->grid[g->slot], g->grid, split);
  Lattice first = {{0, 0, 0}, {0, 0, 0}};
  for (int axis = 0; axis < 3; axis++) {
    g->spacing[axis] = 1;
    for (int i = 0; i < count; i++)
      if (has(split[i] & 7, axis)) g->spacing[axis] *= 2;
    first.stride[axis] = g->spacing[axis];
  }
  TRY(visit(g, &first, 12, 0));
  for (int i = 0; i < count; i++) {
    int64_t old[3];
    memcpy(old, g->spacing, sizeof old);
    for (int axis = 0; axis < 3; axis++)
      if (has(split[i] & 7, axis)) g->spacing[axis] /= 2;
    TRY(split_steps(g, split[i] & 7, split[i] >> 4, old, visit));
  }
  return 0;
}

/* 5.3: the previous slot of any slot but FlowSlot and SplitSlot. */
static void find_previous(GridDecoder *g, const Gop *gop) {
  if (g->slot == FLOW_SLOT || g->slot == SPLIT_SLOT) return;
  for (int slot = 0; slot < g->slot; slot++) {
    if (!nv_present(g->network, slot)) continue;
    g->previous = &gop->grid[slot];
    g->previous_slot = slot;
  }
}

/* 4.5 */
Status nv_decode_grid(nvrc_decoder *d, int slot) {
  GridDecoder g;
  const Grid *grid = &d->gop.grid[slot];
  memset(&g, 0, sizeof g);
  g.d = d;
  g.network = &d->network;
  g.layer = d->network.layer;
  g.slot = slot;
  g.grid = grid;
  find_previous(&g, &d->gop);
  TRY(walk(&g, measure_step));
  g.decoded = nv_take(d, SCOPE_GRID, (uint64_t)grid->nodes * (uint64_t)grid->rows * (uint64_t)grid->columns, 1);
  if (!g.decoded || !(g.table = nv_take(d, SCOPE_GRID, g.largest_step, sizeof *g.table))) return 1;
  if (!(g.mean = nv_take(d, SCOPE_GRID, g.largest_step, sizeof *g.mean))) return 1;
  if (!(g.value = nv_take(d, SCOPE_GRID, g.largest_step, sizeof *g.value))) return 1;
  if (!(g.order = nv_take(d, SCOPE_GRID, g.largest_step, sizeof *g.order))) return 1;
  TRY(nv_rans_init(&g.rans, d, &grid->payload));
  TRY(walk(&g, code_step));
  TRY(nv_rans_end(&g.rans));
  nv_release(d, SCOPE_GRID);
  return 0;
}
