/* The stages of decoding, for an observer: their paths and digests, as conformance/README.md defines them. */
#include "internal.h"

enum { PATH_SIZE = 64, NAMES_OF_STAGE = STAGE_BLOCK + 3 - STAGE_INJECT };

static int observed(const nvrc_decoder *d) { return d->options.observer.stage != NULL; }

/* Appends a text or a number to a string that has space for it. */
static void append(char *to, const char *text) { strcpy(to + strlen(to), text); }

static void append_number(char *to, uint64_t value) {
  char digits[21];
  int at = 20;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10);
  while (value /= 10);
  append(to, digits + at);
}

/* "networks[3]." */
static void begin_path(char path[PATH_SIZE], const char *list, uint64_t index) {
  path[0] = 0;
  append(path, list);
  append(path, "[");
  append_number(path, index);
  append(path, "].");
}

static void report(const nvrc_decoder *d, const char *path, Sha256 *sha) {
  static const char digits[] = "0123456789abcdef";
  uint8_t digest[32];
  char text[33] = {0};
  nv_sha256_final(sha, digest);
  for (int i = 0; i < 32; i++) text[i] = digits[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
  d->options.observer.stage(d->options.observer.user, path, text);
}

static void put(Sha256 *sha, const char *text) { nv_sha256_update(sha, (const uint8_t *)text, strlen(text)); }

/* Numbers with commas between them, and the end of the line. */
static void put_list(Sha256 *sha, const int *value, int count) {
  for (int i = 0; i < count; i++) {
    char text[24] = {0};
    append(text, i > 0 ? "," : "");
    append_number(text, (uint64_t)value[i]);
    put(sha, text);
  }
  put(sha, "\n");
}

static void put_line(Sha256 *sha, const char *name, const int *value, int count) {
  put(sha, name);
  put(sha, "=");
  put_list(sha, value, count);
}

/* Integers of `bytes` bytes each, little-endian, in two's complement */
static void put_integer(Sha256 *sha, int32_t value, int bytes) {
  uint8_t raw[4];
  for (int i = 0; i < bytes; i++) raw[i] = (uint8_t)((uint32_t)value >> (8 * i));
  nv_sha256_update(sha, raw, (size_t)bytes);
}

static void put_array(Sha256 *sha, const int16_t *v, size_t values) {
  for (size_t i = 0; i < values; i++) put_integer(sha, v[i], 2);
}

void nv_observe_sequence(const nvrc_decoder *d) {
  const nvrc_sequence *s = &d->sequence;
  const struct {
    const char *name;
    int value;
  } line[] = {
      {"width", (int)s->width},
      {"height", (int)s->height},
      {"rate_numerator", (int)s->rate_numerator},
      {"rate_denominator", (int)s->rate_denominator},
      {"chroma_format", s->chroma_format},
      {"bit_depth", s->bit_depth},
      {"colour_primaries", s->colour_primaries},
      {"transfer_characteristics", s->transfer_characteristics},
      {"matrix_coefficients", s->matrix_coefficients},
      {"full_range", s->full_range},
      {"chroma_sample_position", s->chroma_sample_position},
      {"profile", s->profile},
      {"level", s->level},
  };
  Sha256 sha;
  if (!observed(d)) return;
  nv_sha256_init(&sha);
  for (size_t i = 0; i < sizeof line / sizeof line[0]; i++) put_line(&sha, line[i].name, &line[i].value, 1);
  report(d, "sequence", &sha);
}

static void layer_name(const Layer *l, char *to) {
  static const char *const names[] = {"context.hidden1", "context.hidden2", "context.output",
                                      ".inject",         ".temporal",       ".depthwise",
                                      ".pointwise",      "head.depthwise",  "head.pointwise"};
  int in_stage = l->kind >= INJECT && l->kind <= POINTWISE;
  if (in_stage) {
    append(to, "stage");
    append_number(to, (uint64_t)l->stage);
  }
  if (l->kind == DEPTHWISE || l->kind == POINTWISE) {
    append(to, ".block");
    append_number(to, (uint64_t)l->block);
  }
  append(to, names[l->kind]);
}

static void put_grid(Sha256 *sha, int slot, const GridHeader *g) {
  static const char *const schedules[] = {"temporal_first\n", "octree\n"};
  char name[PATH_SIZE] = "grid";
  int split[MAX_SPLITS];
  append_number(name, (uint64_t)slot);
  put(sha, name);
  put_line(sha, ".multipliers", g->multiplier, g->channels);
  put(sha, name);
  put(sha, ".schedule=");
  if (g->schedule < 2) {
    put(sha, schedules[g->schedule]);
    return;
  }
  for (int i = 0; i < g->num_splits; i++) split[i] = g->split[i];
  put_list(sha, split, g->num_splits);
}

static void put_header(Sha256 *sha, const Network *n) {
  const int prior[2] = {n->context_prior, n->synthesis_prior};
  put_line(sha, "stage_channels", n->stage_channels, NUM_STAGES);
  put_line(sha, "stage_blocks", n->stage_blocks, NUM_STAGES);
  if (n->grid_mask & NODE_SLOTS) {
    put_line(sha, "key_spacing", &n->key_spacing, 1);
    put_line(sha, "node_spacing", &n->node_spacing, 1);
    put_line(sha, "step_factors", n->step_factor, n->num_levels);
  }
  for (int slot = 0; slot < NUM_SLOTS; slot++)
    if (nv_present(n, slot)) put_grid(sha, slot, &n->grid[slot]);
  put_line(sha, "context_widths", n->context_width, 2);
  put_line(sha, "prior", prior, 2);
  for (int i = 0; i < n->num_layers; i++) {
    const Layer *l = &n->layer[i];
    const int scales[5] = {l->weight_step + 4, l->shift, l->weight_table, l->bias_shift, l->bias_table};
    char name[PATH_SIZE] = "";
    layer_name(l, name);
    put_line(sha, name, scales, 5);
  }
}

static void put_layer(Sha256 *sha, const Layer *l) {
  for (int i = 0; i < l->outputs * l->inputs; i++) put_integer(sha, l->w[i], 4);
  for (int i = 0; i < l->outputs; i++) put_integer(sha, l->b[i], 4);
}

/* The coded integers of a layer, before they become weights. They are reported when a GOP follows. */
void nv_observe_parameters(const nvrc_decoder *d, Layer *l) {
  if (!observed(d)) return;
  nv_sha256_init(&l->coded);
  put_layer(&l->coded, l);
}

static void observe_network(nvrc_decoder *d, Network *n) {
  Sha256 sha;
  char path[PATH_SIZE];
  if (n->reported) return;
  n->reported = 1;
  nv_sha256_init(&sha);
  put_header(&sha, n);
  begin_path(path, "networks", d->networks_reported);
  append(path, "header");
  report(d, path, &sha);
  for (int i = 0; i < n->num_layers; i++) {
    begin_path(path, "networks", d->networks_reported);
    append(path, "parameters.");
    layer_name(&n->layer[i], path);
    report(d, path, &n->layer[i].coded);
  }
  nv_sha256_init(&sha);
  for (int i = 0; i < n->num_layers; i++) put_layer(&sha, &n->layer[i]);
  begin_path(path, "networks", d->networks_reported++);
  append(path, "integers");
  report(d, path, &sha);
}

static Status observe_nodes(nvrc_decoder *d, int slot) {
  const Grid *g = &d->gop.grid[slot];
  char path[PATH_SIZE], *text = nv_take(d, SCOPE_GRID, (uint64_t)g->nodes + 1, 1);
  if (!text) return 1;
  for (int64_t n = 0; n < g->nodes; n++) text[n] = g->node_map[n / 8] >> (n % 8) & 1 ? '1' : '0';
  begin_path(path, "gops", d->at.unit_count[0x03]);
  append(path, "nodes.");
  append_number(path, (uint64_t)slot);
  d->options.observer.stage(d->options.observer.user, path, text);
  nv_release(d, SCOPE_GRID);
  return 0;
}

/* The grids of the GOP that has been read, and the NETWORK in force. */
Status nv_observe_gop(nvrc_decoder *d) {
  if (!observed(d)) return 0;
  observe_network(d, &d->network);
  for (int i = 0; i < NUM_SLOTS; i++) {
    int slot = nv_coding_order[i];
    if (nv_present(&d->network, slot) && MAPPED_SLOTS >> slot & 1) TRY(observe_nodes(d, slot));
  }
  for (int i = 0; i < NUM_SLOTS; i++) {
    int slot = nv_coding_order[i];
    const Grid *g = &d->gop.grid[slot];
    char path[PATH_SIZE];
    Sha256 sha;
    if (!nv_present(&d->network, slot)) continue;
    nv_sha256_init(&sha);
    put_array(&sha, g->q, nv_index(g, g->nodes, 0, 0, 0));
    begin_path(path, "gops", d->at.unit_count[0x03]);
    append(path, "grids.");
    append_number(path, (uint64_t)slot);
    report(d, path, &sha);
  }
  return 0;
}

/* Takes an array of a frame into the digest of its stage. */
void nv_observe(nvrc_decoder *d, int stage, const Array *a) {
  if (!observed(d)) return;
  if (!d->gop.stage[stage].used) nv_sha256_init(&d->gop.stage[stage].sha);
  d->gop.stage[stage].used = 1;
  put_array(&d->gop.stage[stage].sha, a->v, nv_values(a));
}

/* Motion and planes of frame t. The nodes among them were made earlier, so that their motion and residual are made
 * again here. */
void nv_observe_planes(nvrc_decoder *d, int64_t t) {
  Planes *p = &d->gop.planes;
  int64_t a, b;
  if (!observed(d)) return;
  if (t > 0 && nv_present(&d->network, FLOW_SLOT)) {
    int share = nv_references(&d->network, t, &a, &b);
    nv_motion(d, t, a, b, share);
    nv_observe(d, STAGE_DISPLACEMENT, &p->displacement[0]);
    if (a != b) nv_observe(d, STAGE_DISPLACEMENT, &p->displacement[1]);
    if (a != b) nv_observe(d, STAGE_WEIGHT, &p->weight);
  }
  if (p->residual[1].channels && t % d->network.node_spacing == 0) {
    nv_luma_residual(d, t / d->network.node_spacing);
    nv_observe(d, STAGE_LUMA_RESIDUAL, &p->residual[1]);
  }
  if (p->current[0].channels) nv_observe(d, STAGE_QUARTER, &p->current[0]);
  if (p->current[1].channels) nv_observe(d, STAGE_LUMA, &p->current[1]);
}

static void stage_name(int stage, char *to) {
  static const char *const planes[] = {"displacement", "weight", "luma_residual", "Quarter", "Luma"};
  static const char *const parts[] = {".inject", ".sum", ".block0", ".block1", ".block2"};
  int k = (stage - STAGE_INJECT) / NAMES_OF_STAGE, part = (stage - STAGE_INJECT) % NAMES_OF_STAGE;
  if (stage < STAGE_INJECT) {
    append(to, planes[stage]);
  } else if (stage >= STAGE_HEAD) {
    append(to, stage == STAGE_HEAD ? "head.depthwise" : "subplanes");
  } else {
    append(to, "stage");
    append_number(to, (uint64_t)k);
    append(to, k == 0 && part == 1 ? ".temporal" : parts[part]);
  }
}

/* The stages of synthesis, after the last frame of a GOP. */
void nv_observe_synthesis(nvrc_decoder *d) {
  if (!observed(d) || !d->gop.whole) return;
  for (int stage = 0; stage < NUM_OBSERVED; stage++) {
    char path[PATH_SIZE];
    if (!d->gop.stage[stage].used) continue;
    begin_path(path, "gops", d->at.unit_count[0x04]);
    append(path, "synthesis.");
    stage_name(stage, path);
    report(d, path, &d->gop.stage[stage].sha);
  }
}
