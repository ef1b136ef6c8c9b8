/* 7.4 to 7.6.4: activations of grids, the pyramid of nodes, and the planes of a frame. */
#include "internal.h"

static const int steps[2] = {4, 1}; /* of Quarter and Luma */

/* 7.5 */
static int64_t distance(int64_t t) { return t & -t; }

static int log2_of(int64_t power) {
  int n = 0;
  while ((int64_t)1 << n < power) n++;
  return n;
}

/* 7.4 */
static int32_t node_multiplier(const Network *network, int slot, int64_t n, int c) {
  int32_t multiplier = network->grid[slot].multiplier[c], factor = 16;
  int64_t t = n * network->node_spacing;
  if (!(NODE_SLOTS >> slot & 1)) return multiplier;
  if (t % network->key_spacing != 0) factor = network->step_factor[log2_of(network->key_spacing / distance(t)) - 1];
  return nv_clip((multiplier * factor + 8) >> 4, 1, 2048);
}

/* 7.4: Node(slot, n). `out` takes the shape of the grid. */
void nv_node_activations(const nvrc_decoder *d, int slot, int64_t n, Array *out) {
  const Grid *g = &d->gop.grid[slot];
  size_t plane = (size_t)g->rows * (size_t)g->columns;
  out->channels = g->channels;
  out->rows = (int)g->rows;
  out->columns = (int)g->columns;
  for (int c = 0; c < g->channels; c++) {
    int32_t multiplier = node_multiplier(&d->network, slot, n, c);
    const int16_t *q = g->q + nv_index(g, n, c, 0, 0);
    int16_t *v = nv_row(out, c, 0);
    for (size_t i = 0; i < plane; i++) v[i] = nv_activation(q[i] * multiplier);
  }
}

/* 7.5: the references of a frame t > 0, and the share of the later one in 1/32. */
int nv_references(const Network *network, int64_t t, int64_t *a, int64_t *b) {
  int64_t key = network->key_spacing, node = network->node_spacing;
  if (t % key == 0) {
    *a = *b = t - key;
    return 0;
  }
  if (t % node == 0) {
    *a = t - distance(t);
    *b = t + distance(t);
    return 16;
  }
  *a = t - t % node;
  *b = *a + node;
  return (int)(32 * (t - *a) / node);
}

/* Where the planes of node t are kept: two places for keys and one for each level between keys. When frames are decoded
 * in order, a node is never needed again after another one has taken its place. */
static Node *place(nvrc_decoder *d, int64_t t) {
  int64_t key = d->network.key_spacing;
  Node *node = d->gop.planes.node;
  if (t % key == 0) return &node[t / key % 2];
  return &node[1 + log2_of(key / distance(t))];
}

static void predict_sets(nvrc_decoder *d, int64_t t, const Node *a, const Node *b, int share, Array out[2]) {
  nv_motion(d, t, a->frame, b->frame, share);
  for (int set = 0; set < 2; set++)
    if (out[set].channels) nv_predict(d, &a->half[set], &b->half[set], steps[set], &out[set]);
}

/* 7.6.4: planes(Set, t) of a node, both sets. The key before t has been made (make_keys), so that it has at most as
 * many levels of recursion as the pyramid. */
static Node *node_planes(nvrc_decoder *d, int64_t t) {
  const Network *network = &d->network;
  Planes *p = &d->gop.planes;
  Node *node = place(d, t);
  int64_t a, b;
  if (node->frame == t) return node;
  if (t > 0) {
    int share = nv_references(network, t, &a, &b);
    const Node *earlier = node_planes(d, a), *later = node_planes(d, b);
    predict_sets(d, t, earlier, later, share, node->set);
  }
  if (p->residual[0].channels) nv_node_activations(d, PLANE_SLOT, t / network->node_spacing, &p->residual[0]);
  if (p->residual[1].channels) nv_luma_residual(d, t / network->node_spacing);
  for (int set = 0; set < 2; set++) {
    Array *out = &node->set[set];
    size_t values = nv_values(out);
    for (size_t i = 0; i < values; i++) out->v[i] = nv_activation((t > 0 ? out->v[i] : 0) + p->residual[set].v[i]);
    nv_refine(&node->half[set]);
  }
  node->frame = t;
  return node;
}

/* Makes the keys up to frame t in their order, so that node_planes finds the one before each. In decoding in order, all
 * but the last one have been made already. */
static void make_keys(nvrc_decoder *d, int64_t t) {
  const Node *node = d->gop.planes.node;
  int64_t key = d->network.key_spacing, made = -key;
  for (int i = 0; i < 2; i++)
    if (node[i].frame >= 0 && node[i].frame <= t && node[i].frame > made) made = node[i].frame;
  for (int64_t k = made + key; k <= t; k += key) node_planes(d, k);
}

/* 7.6.4: both sets of planes at frame t. */
const Array *nv_planes(nvrc_decoder *d, int64_t t) {
  int64_t a, b;
  make_keys(d, t);
  if (t % d->network.node_spacing == 0) return node_planes(d, t)->set;
  int share = nv_references(&d->network, t, &a, &b);
  const Node *earlier = node_planes(d, a), *later = node_planes(d, b);
  predict_sets(d, t, earlier, later, share, d->gop.planes.predicted);
  return d->gop.planes.predicted;
}

static Status take_motion(nvrc_decoder *d, Planes *p) {
  const nvrc_sequence *s = &d->sequence;
  int64_t rows = nv_ceil_div(s->height, 4), columns = nv_ceil_div(s->width, 4);
  for (int i = 0; i < 2; i++) TRY(nv_take_array(d, &p->displacement[i], 2, rows, columns));
  TRY(nv_take_array(d, &p->weight, 1, rows, columns));
  if (!nv_present(&d->network, FLOW_SLOT)) return 0;
  rows = nv_ceil_div(s->height, 16);
  columns = nv_ceil_div(s->width, 16);
  for (int i = 0; i < 2; i++) TRY(nv_take_array(d, &p->flow[i], 3, rows, columns));
  TRY(nv_take_array(d, &p->by16, 2, rows, columns));
  rows = nv_ceil_div(s->height, 8);
  columns = nv_ceil_div(s->width, 8);
  TRY(nv_take_array(d, &p->by8, 2, rows, columns));
  return nv_present(&d->network, SPLIT_SLOT) ? nv_take_array(d, &p->split, 3, rows, columns) : 0;
}

/* Memory for all that the planes of a GOP need. */
Status nv_take_planes(nvrc_decoder *d) {
  const Network *n = &d->network;
  Planes *p = &d->gop.planes;
  int64_t rows2 = nv_ceil_div(d->sequence.height, 2), columns2 = nv_ceil_div(d->sequence.width, 2);
  int64_t rows[2] = {nv_ceil_div(d->sequence.height, 4), 2 * rows2};
  int64_t columns[2] = {nv_ceil_div(d->sequence.width, 4), 2 * columns2};
  int channels[2] = {nv_present(n, PLANE_SLOT) ? n->grid[PLANE_SLOT].channels : 0, n->grid_mask & BAND_SLOTS ? 1 : 0};
  if ((n->grid_mask & NODE_SLOTS) == 0) return 0;
  for (int set = 0; set < 2; set++) {
    if (channels[set] == 0) continue;
    TRY(nv_take_array(d, &p->predicted[set], channels[set], rows[set], columns[set]));
    TRY(nv_take_array(d, &p->residual[set], channels[set], rows[set], columns[set]));
    for (int i = 0; i < n->num_levels + 2; i++) {
      TRY(nv_take_array(d, &p->node[i].set[set], channels[set], rows[set], columns[set]));
      p->node[i].half[set].phase[0] = p->node[i].set[set];
      for (int phase = 1; phase < 4; phase++)
        TRY(nv_take_array(d, &p->node[i].half[set].phase[phase], channels[set], rows[set], columns[set]));
    }
  }
  for (int i = 0; i < n->num_levels + 2; i++) p->node[i].frame = -1;
  if (channels[1]) {
    TRY(nv_take_array(d, &p->band, 4, rows2, columns2));
    TRY(nv_take_array(d, &p->rows, 2, 2 * rows2, columns2));
    uint64_t row = (uint64_t)columns2, strip = LIFTING_STRIP * (uint64_t)rows2;
    p->lifting = nv_take(d, SCOPE_GOP, 2 * (row > strip ? row : strip), sizeof *p->lifting);
    if (!p->lifting) return 1;
  }
  return take_motion(d, p);
}
