/* 5.3 to 5.5: the context of a value, and the network that turns it into a table and a mean. */
#include "internal.h"

enum { NEIGHBOURS = 18 };

static const int8_t offsets[NEIGHBOURS][3] = {
    {-1, -1, 0}, {-1, 0, -1}, {-1, 0, 0}, {-1, 0, 1}, {-1, 1, 0}, {0, -1, -1}, {0, -1, 0}, {0, -1, 1}, {0, 0, -1},
    {0, 0, 1},   {0, 1, -1},  {0, 1, 0},  {0, 1, 1},  {1, -1, 0}, {1, 0, -1},  {1, 0, 0},  {1, 0, 1},  {1, 1, 0},
};

/* 5.3: a position that lies inside the grid and was decoded in an earlier step. */
static int available(const GridDecoder *g, int64_t n, int64_t y, int64_t x) {
  const Grid *grid = g->grid;
  if (n < 0 || n >= grid->nodes || y < 0 || y >= grid->rows || x < 0 || x >= grid->columns) return 0;
  return g->decoded[(n * grid->rows + y) * grid->columns + x];
}

/* 5.3: finds the value at an offset; returns 0 where there is none. */
static int find(const GridDecoder *g, int64_t n, int c, int64_t y, int64_t x, const int8_t offset[3], int32_t *value) {
  int64_t dn = offset[0] * g->spacing[0];
  int64_t y1 = y + offset[1] * g->spacing[1], x1 = x + offset[2] * g->spacing[2];
  int64_t n1 = n + dn;
  if (!available(g, n1, y1, x1)) {
    n1 = n - dn;
    if (dn == 0 || !available(g, n1, y1, x1)) return 0;
  }
  *value = g->grid->q[nv_index(g->grid, n1, c, y1, x1)];
  return 1;
}

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* 5.3: inputs 0..17. Returns Centre. */
static int32_t neighbours(const GridDecoder *g, int64_t n, int c, int64_t y, int64_t x, int32_t input[NEIGHBOURS]) {
  int found[NEIGHBOURS], faces = 0;
  int32_t sum = 0, centre = 0;
  for (int i = 0; i < NEIGHBOURS; i++) {
    input[i] = 0;
    found[i] = find(g, n, c, y, x, offsets[i], &input[i]);
    int axes = (offsets[i][0] != 0) + (offsets[i][1] != 0) + (offsets[i][2] != 0);
    if (!found[i] || axes != 1) continue;
    sum += input[i];
    faces++;
  }
  if (g->slot == FLOW_SLOT && faces > 0) centre = (int32_t)floor_div(sum, faces);
  for (int i = 0; i < NEIGHBOURS; i++)
    if (found[i]) input[i] = nv_clip(input[i] - centre, -15, 15);
  return centre;
}

static int frames_per_node(const Network *n, int slot) { return NODE_SLOTS >> slot & 1 ? n->node_spacing : 1; }

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* 5.3: input 18 */
static int32_t previous_magnitude(const GridDecoder *g, int64_t n, int64_t y, int64_t x) {
  const Grid *p = g->previous;
  int32_t sum = 0;
  if (!p) return 0;
  int stride = nv_slots[g->slot].stride, stride2 = nv_slots[g->previous_slot].stride;
  int64_t n2 =
      smaller(n * frames_per_node(g->network, g->slot) / frames_per_node(g->network, g->previous_slot), p->nodes - 1);
  int64_t y2 = y * stride / stride2;
  int64_t x2 = x * stride / stride2;
  for (int c = 0; c < p->channels; c++) {
    int32_t q = p->q[nv_index(p, n2, c, y2, x2)];
    sum += q < 0 ? -q : q;
  }
  return sum < 15 ? sum : 15;
}

/* 5.4: adds the weights of the three inputs that are 1 in this step to the biases of context.hidden1. */
void nv_context_step(GridDecoder *g, int level_index, int ordinal) {
  const Layer *l = &g->layer[0];
  for (int o = 0; o < l->outputs; o++) {
    const int32_t *w = l->w + o * CONTEXT_INPUTS;
    g->base[o] = l->b[o] + w[19 + level_index] + w[32 + ordinal] + w[40 + g->slot];
  }
}

/* 5.5: outputs of a layer; `bias` is the layer's own or, for context.hidden1, that of the step. */
static void dense(const Layer *l, const int32_t *bias, const int32_t *x, int inputs, int32_t *y) {
  for (int o = 0; o < l->outputs; o++) {
    const int32_t *w = l->w + o * l->inputs;
    int32_t sum = bias[o];
    for (int i = 0; i < inputs; i++) sum += w[i] * x[i];
    y[o] = nv_clip((sum + nv_rounding(l)) >> l->shift, l->lo, l->hi);
  }
}

/* 5.5: the table and the mean of a value. */
void nv_context(const GridDecoder *g, int64_t n, int c, int64_t y, int64_t x, uint16_t *table, int16_t *mean) {
  int32_t input[NEIGHBOURS + 1], hidden1[CONTEXT_WIDTH_MAX], hidden2[CONTEXT_WIDTH_MAX], output[2];
  int32_t centre = neighbours(g, n, c, y, x, input);
  input[18] = previous_magnitude(g, n, y, x);
  dense(&g->layer[0], g->base, input, NEIGHBOURS + 1, hidden1);
  dense(&g->layer[1], g->layer[1].b, hidden1, g->layer[1].inputs, hidden2);
  dense(&g->layer[2], g->layer[2].b, hidden2, g->layer[2].inputs, output);
  *table = (uint16_t)(8 * nv_clip(output[1], 0, 39) + (output[0] & 7));
  *mean = (int16_t)((output[0] >> 3) + centre);
}
