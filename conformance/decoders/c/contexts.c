/* 5.3 to 5.5: the contexts of values, and the network that turns them into tables and means. */
#include "internal.h"

enum { NEIGHBOURS = 18, INPUTS = NEIGHBOURS + 1, CHUNK = 64 };

static const int8_t offsets[NEIGHBOURS][3] = {
    {-1, -1, 0}, {-1, 0, -1}, {-1, 0, 0}, {-1, 0, 1}, {-1, 1, 0}, {0, -1, -1}, {0, -1, 0}, {0, -1, 1}, {0, 0, -1},
    {0, 0, 1},   {0, 1, -1},  {0, 1, 0},  {0, 1, 1},  {1, -1, 0}, {1, 0, -1},  {1, 0, 0},  {1, 0, 1},  {1, 1, 0},
};

/* The contexts of up to CHUNK positions of a row. Neighbour i exists at positions first[i] .. end[i] - 1. */
typedef struct {
  int16_t input[INPUTS][CHUNK];
  int first[NEIGHBOURS], end[NEIGHBOURS];
  int16_t centre[CHUNK];
} Contexts;

/* 5.3: is (n, y, x), with y and x inside the grid, inside in time, too, and decoded in an earlier step? */
static int available(const GridDecoder *g, int64_t n, int64_t y, int64_t x) {
  const Grid *grid = g->grid;
  return n >= 0 && n < grid->nodes && g->decoded[(n * grid->rows + y) * grid->columns + x];
}

static int64_t clip64(int64_t a, int64_t lo, int64_t hi) { return a < lo ? lo : a > hi ? hi : a; }

/* 5.3: find, for neighbour i of all positions. Where both lie inside the grid, a position of a step has the same
 * neighbours available as any other. So one position of the row tells for all. */
static void find(const GridDecoder *g, const Run *run, int i, Contexts *ctx) {
  const Grid *grid = g->grid;
  int64_t dn = offsets[i][0] * g->spacing[0], n = run->n + dn;
  int64_t y = run->y + offsets[i][1] * g->spacing[1], x = run->x + offsets[i][2] * g->spacing[2];
  int16_t *input = ctx->input[i];
  memset(input, 0, sizeof ctx->input[i]);
  ctx->first[i] = (int)clip64(x < 0 ? nv_ceil_div(-x, run->stride) : 0, 0, run->count);
  ctx->end[i] = (int)clip64(nv_ceil_div(grid->columns - x, run->stride), 0, run->count);
  int64_t probe = x + ctx->first[i] * run->stride;
  if (y < 0 || y >= grid->rows || ctx->first[i] >= ctx->end[i]) {
    ctx->end[i] = ctx->first[i];
    return;
  }
  if (!available(g, n, y, probe)) n = run->n - dn;
  if (!available(g, n, y, probe)) {
    ctx->end[i] = ctx->first[i];
    return;
  }
  const int16_t *row = grid->q + nv_index(grid, n, run->c, y, 0);
  for (int k = ctx->first[i]; k < ctx->end[i]; k++) input[k] = row[x + k * run->stride];
}

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* 5.3: Centre of each position, in FlowSlot. */
static void centres(const Run *run, Contexts *ctx) {
  for (int k = 0; k < run->count; k++) {
    int32_t sum = 0, faces = 0;
    for (int i = 0; i < NEIGHBOURS; i++) {
      int axes = (offsets[i][0] != 0) + (offsets[i][1] != 0) + (offsets[i][2] != 0);
      if (axes != 1 || k < ctx->first[i] || k >= ctx->end[i]) continue;
      sum += ctx->input[i][k];
      faces++;
    }
    ctx->centre[k] = (int16_t)(faces > 0 ? floor_div(sum, faces) : 0);
  }
}

/* 5.3: inputs 0..17 and Centre. */
static void neighbours(const GridDecoder *g, const Run *run, Contexts *ctx) {
  for (int i = 0; i < NEIGHBOURS; i++) find(g, run, i, ctx);
  memset(ctx->centre, 0, sizeof ctx->centre);
  if (g->slot == FLOW_SLOT) centres(run, ctx);
  for (int i = 0; i < NEIGHBOURS; i++) {
    int16_t *input = ctx->input[i];
    for (int k = ctx->first[i]; k < ctx->end[i]; k++) input[k] = (int16_t)nv_clip(input[k] - ctx->centre[k], -15, 15);
  }
}

static int frames_per_node(const Network *n, int slot) { return NODE_SLOTS >> slot & 1 ? n->node_spacing : 1; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* 5.3: input 18 */
static void previous_magnitudes(const GridDecoder *g, const Run *run, int16_t *input) {
  const Grid *p = g->previous;
  int32_t sum[CHUNK] = {0};
  uint32_t stride = (uint32_t)nv_slots[g->slot].stride, stride2 = (uint32_t)nv_slots[g->previous_slot].stride;
  int64_t n = run->n * frames_per_node(g->network, g->slot) / frames_per_node(g->network, g->previous_slot);
  int64_t y = run->y * stride / stride2;
  for (int c = 0; c < p->channels; c++) {
    const int16_t *row = p->q + nv_index(p, smaller(n, p->nodes - 1), c, y, 0);
    for (int k = 0; k < run->count; k++) {
      int32_t q = row[(uint32_t)(run->x + k * run->stride) * stride / stride2];
      sum[k] += q < 0 ? -q : q;
    }
  }
  for (int k = 0; k < run->count; k++) input[k] = (int16_t)(sum[k] < 15 ? sum[k] : 15);
}

/* 5.4: adds the weights of the three inputs that are 1 in this step to the biases of context.hidden1. */
void nv_context_step(GridDecoder *g, int level_index, int ordinal) {
  const Layer *l = &g->layer[0];
  for (int o = 0; o < l->outputs; o++) {
    const int32_t *w = l->w + o * CONTEXT_INPUTS;
    g->base[o] = l->b[o] + w[19 + level_index] + w[32 + ordinal] + w[40 + g->slot];
  }
}

/* 5.5: context.hidden1, from the inputs that exist; the others are 0. */
static void hidden1(const GridDecoder *g, const Contexts *ctx, int count, int16_t out[][CHUNK]) {
  const Layer *l = &g->layer[0];
  const int16_t *rows[INPUTS];
  int32_t w[INPUTS], sums[CHUNK];
  int present[INPUTS], inputs = 0;
  for (int i = 0; i < INPUTS; i++) {
    if (i < NEIGHBOURS ? ctx->first[i] >= ctx->end[i] : !g->previous) continue;
    present[inputs] = i;
    rows[inputs++] = ctx->input[i];
  }
  for (int o = 0; o < l->outputs; o++) {
    for (int i = 0; i < inputs; i++) w[i] = l->w[o * l->inputs + present[i]];
    nv_begin(l, g->base[o], sums, count);
    nv_add_rows(sums, w, rows, inputs, count);
    nv_finish(l, sums, out[o], count);
  }
}

/* 5.5: the other layers. */
static void dense(const Layer *l, int16_t in[][CHUNK], int count, int16_t out[][CHUNK]) {
  const int16_t *rows[CONTEXT_WIDTH_MAX];
  int32_t sums[CHUNK];
  for (int i = 0; i < l->inputs; i++) rows[i] = in[i];
  for (int o = 0; o < l->outputs; o++) {
    nv_begin(l, l->b[o], sums, count);
    nv_add_rows(sums, l->w + o * l->inputs, rows, l->inputs, count);
    nv_finish(l, sums, out[o], count);
  }
}

static void context_chunk(const GridDecoder *g, const Run *run, uint16_t *table, int16_t *mean) {
  Contexts ctx;
  int16_t a[CONTEXT_WIDTH_MAX][CHUNK], b[CONTEXT_WIDTH_MAX][CHUNK];
  neighbours(g, run, &ctx);
  if (g->previous) previous_magnitudes(g, run, ctx.input[NEIGHBOURS]);
  hidden1(g, &ctx, run->count, a);
  dense(&g->layer[1], a, run->count, b);
  dense(&g->layer[2], b, run->count, a);
  for (int k = 0; k < run->count; k++) {
    table[k] = (uint16_t)(8 * nv_clip(a[1][k], 0, 39) + (a[0][k] & 7));
    mean[k] = (int16_t)((a[0][k] >> 3) + ctx.centre[k]);
  }
}

/* 5.5: the tables and the means of the values of a row. */
void nv_context_row(const GridDecoder *g, const Run *run, uint16_t *table, int16_t *mean) {
  Run chunk = *run;
  for (int done = 0; done < run->count; done += CHUNK) {
    chunk.x = run->x + done * run->stride;
    chunk.count = run->count - done < CHUNK ? run->count - done : CHUNK;
    context_chunk(g, &chunk, table + done, mean + done);
  }
}
