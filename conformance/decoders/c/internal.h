/* What the files of the decoder share. Names in MixedCase and ALL_CAPS of spec/ keep their words here. */
#ifndef NVRC_INTERNAL_H
#define NVRC_INTERNAL_H

#include <string.h>

#include "nvrc.h"

/* 1.3 wants `>>` to round down for negative numbers, too; C leaves that to the compiler. This does not compile where it
 * does not hold. */
typedef char nv_shifts_round_down[(-3 >> 1) == -2 ? 1 : -1];

enum { NUM_STAGES = 5, NUM_SLOTS = 11, MAX_BLOCKS = 3, MAX_CHANNELS = 8, MAX_LAYERS = 32, NUM_LEVELS_MAX = 4 };
enum { PLANE_SLOT = 4, FIRST_BAND = 5, LAST_BAND = 8, FLOW_SLOT = 9, SPLIT_SLOT = 10 };
enum { NODE_SLOTS = 0x1f0, BAND_SLOTS = 0x1e0, MAPPED_SLOTS = 0x5f0 };
enum { Q_MAX = 2047, BIAS_MAX = 65535, WEIGHT_MAX = 1024, ACTIVATION_MIN = -2048, ACTIVATION_MAX = 2047 };
enum { ACCUMULATOR_LIMIT = 1 << 24, NUM_TABLES = 320, CONTEXT_INPUTS = 51, CONTEXT_WIDTH_MAX = 64, MAX_SPLITS = 32 };

typedef int Status; /* 0, or 1 where nv_fail has recorded an error */

#define TRY(call)       \
  do {                  \
    if (call) return 1; \
  } while (0)

/* Memory is freed by scope, so that no error path has to free anything. */
typedef enum { SCOPE_STREAM, SCOPE_NETWORK, SCOPE_GOP, SCOPE_GRID, NUM_SCOPES } Scope;

typedef struct Block {
  struct Block *next;
  uint64_t size;
} Block;

/* Integers with the axes channel, row, column. */
typedef struct {
  int channels, rows, columns;
  int16_t *v;
} Array;

/* 1.4: reads elements from data[pos] up to data[end]. */
typedef struct {
  nvrc_decoder *d;
  uint64_t pos, end;
  int in_payload;
  const char *section;
} Reader;

typedef enum { KIND_FEATURE, KIND_PLANE, KIND_BAND, KIND_FLOW, KIND_SPLIT } SlotKind;

/* 7.12 */
typedef struct {
  SlotKind kind;
  int stride;
  int stage; /* of kinds feature and plane */
} Slot;

typedef struct {
  int max_stage_channels[NUM_STAGES];
  int max_stage_blocks[NUM_STAGES];
  int temporal_filter;
  int max_grid_channels[NUM_SLOTS];
} Profile;

typedef enum {
  CONTEXT_HIDDEN1,
  CONTEXT_HIDDEN2,
  CONTEXT_OUTPUT,
  INJECT,
  TEMPORAL,
  DEPTHWISE,
  POINTWISE,
  HEAD_DEPTHWISE,
  HEAD_POINTWISE
} LayerKind;

/* A layer with `inputs` weights for each output: weight j of output o is w[o * inputs + j]. */
typedef struct {
  LayerKind kind;
  int stage, block;
  int outputs, inputs;
  int input_max, lo, hi;
  int weight_step, shift, weight_table, bias_shift, bias_table;
  int32_t *w, *b;
} Layer;

/* What NETWORK says of a grid (3.3). */
typedef struct {
  int channels;
  int multiplier[MAX_CHANNELS];
  int schedule;
  int num_splits;
  uint8_t split[MAX_SPLITS]; /* where schedule is 2: runs, expanded */
} GridHeader;

typedef struct {
  int in_force;
  uint64_t offset;
  int stage_channels[NUM_STAGES], stage_blocks[NUM_STAGES];
  unsigned grid_mask;
  int node_spacing, key_spacing, num_levels;
  int step_factor[NUM_LEVELS_MAX];
  GridHeader grid[NUM_SLOTS];
  int context_width[2];
  int context_prior, synthesis_prior;
  int injected[NUM_STAGES];
  int num_layers;
  Layer layer[MAX_LAYERS];
} Network;

/* A grid of the GOP (3.4). */
typedef struct {
  int channels;
  int64_t nodes, rows, columns;
  const uint8_t *node_map; /* or NULL: no node is empty */
  uint64_t payload_offset, payload_size;
  int16_t *q; /* [nodes][channels][rows][columns] */
} Grid;

/* The planes of a node (7.6): set 0 is Quarter, set 1 is Luma. An absent set has 0 channels. */
typedef struct {
  int64_t frame; /* -1: holds none */
  Array set[2];
  Array half[2]; /* refined to half samples */
} Node;

typedef struct {
  Node node[NUM_LEVELS_MAX + 2];
  Array predicted[2];    /* planes of a frame that is not a node */
  const Array *current;  /* planes of the frame in synthesis, both sets */
  Array residual[2];     /* of a node */
  Array band;            /* the wavelet: the activations of a slot */
  Array rows;            /* the wavelet: L and G, between its two passes */
  int32_t *lifting;      /* scratch of one row or column */
  Array flow[2];         /* of the frame and of one reference */
  Array by16, by8;       /* displacements or blend, at points that are 16 and 8 luma samples apart */
  Array displacement[2]; /* to the earlier and to the later reference */
  Array weight, split;
} Planes;

typedef struct {
  Array g;            /* what enters a stage */
  Array injection[3]; /* of the frames before, at and after t; the last two only for the temporal filter */
  Array a[2];         /* activations of a stage */
  Array h;            /* one row of a hidden layer */
  int32_t *sums;      /* one row */
  Array subplanes;
} Activations;

typedef struct {
  uint32_t h[8];
  uint64_t length;
  uint8_t block[64];
} Sha256;

typedef struct {
  int64_t frame_count, next_frame;
  int active;
  uint64_t offset;
  Grid grid[NUM_SLOTS];
  Planes planes;
  Activations act;
  uint8_t *raw;
  size_t raw_size;
  Sha256 sha;
} Gop;

/* A unit whose crc is right (2.3). */
typedef struct {
  int type;
  uint64_t offset, payload, end;
} Unit;

struct nvrc_decoder {
  nvrc_allocator allocator;
  nvrc_limits limits;
  nvrc_error error;
  int failed, ended;
  Block *blocks[NUM_SCOPES];
  uint64_t memory;

  const uint8_t *data;
  uint64_t size, pos, units_start;
  Unit unit; /* the one being read */
  uint64_t unit_count[256];
  uint64_t frames;
  uint64_t index_offset; /* 0: the stream has no INDEX */

  nvrc_sequence sequence;
  const Profile *profile;
  Network network;
  Gop gop;
};

/* limits.c */
Status nv_fail(nvrc_decoder *d, const char *code, uint64_t offset, const char *section, const char *requirement,
               const char *sentence);
void *nv_take(nvrc_decoder *d, Scope scope, uint64_t count, uint64_t size);
void nv_release(nvrc_decoder *d, Scope scope);
Status nv_take_array(nvrc_decoder *d, Array *array, int channels, int64_t rows, int64_t columns);
Status nv_check_sequence_limits(nvrc_decoder *d, const Reader *r);
Status nv_check_gop_limits(nvrc_decoder *d, uint64_t symbols);

/* reader.c */
Status nv_uint(Reader *r, int bytes, uint64_t *value);
Status nv_leb128(Reader *r, uint64_t *value);
Status nv_element(Reader *r, int bytes, uint64_t lo, uint64_t hi, const char *requirement, const char *sentence,
                  uint64_t *value);
Status nv_require(Reader *r, int condition, const char *code, const char *requirement, const char *sentence);
Status nv_payload_end(Reader *r);

/* container.c */
Status nv_find_unit(nvrc_decoder *d, uint64_t pos, Unit *unit);

/* syntax.c, syntax_network.c, syntax_gop.c */
Status nv_read_sequence(Reader *r);
Status nv_read_network(Reader *r);
Status nv_read_gop(Reader *r);
Status nv_read_metadata(Reader *r);
Status nv_read_index(Reader *r);
Status nv_read_end(Reader *r);

/* entropy.c */
typedef struct {
  nvrc_decoder *d;
  const uint8_t *next, *end;
  uint64_t offset;
  uint64_t state;
} Rans;

Status nv_rans_init(Rans *r, nvrc_decoder *d, uint64_t offset, uint64_t size);
Status nv_decode_step(Rans *r, size_t n, const uint16_t *table, const int16_t *mean, int32_t limit, size_t *order,
                      int32_t *value);
Status nv_rans_end(const Rans *r);
Status nv_decode_parameters(nvrc_decoder *d, Network *network, uint64_t offset, uint64_t size);

/* schedule.c and contexts.c */
typedef struct {
  nvrc_decoder *d;
  const Network *network;
  const Layer *layer; /* the three of the context network */
  int slot;
  const Grid *grid;
  const Grid *previous; /* or NULL */
  int previous_slot;
  int64_t spacing[3];
  uint8_t *decoded; /* of each position: was it decoded in an earlier step? */
  Rans rans;
  size_t largest_step;
  uint16_t *table;
  int16_t *mean;
  int32_t *value;
  size_t *order;
  int32_t base[CONTEXT_WIDTH_MAX]; /* biases of context.hidden1 and what is the same for all positions of a step */
} GridDecoder;

Status nv_decode_grid(nvrc_decoder *d, int slot);
void nv_context_step(GridDecoder *g, int level_index, int ordinal);
void nv_context(const GridDecoder *g, int64_t n, int c, int64_t y, int64_t x, uint16_t *table, int16_t *mean);

static inline size_t nv_index(const Grid *g, int64_t n, int c, int64_t y, int64_t x) {
  return (size_t)(((n * g->channels + c) * g->rows + y) * g->columns + x);
}

/* arithmetic.c */
Status nv_layer_integers(nvrc_decoder *d, const Network *network, Layer *layer);

static inline int32_t nv_clip(int32_t a, int32_t lo, int32_t hi) { return a < lo ? lo : a > hi ? hi : a; }

static inline int16_t nv_activation(int32_t a) { return (int16_t)nv_clip(a, ACTIVATION_MIN, ACTIVATION_MAX); }

static inline int32_t nv_rounding(const Layer *layer) { return layer->shift == 0 ? 0 : 1 << (layer->shift - 1); }

/* profiles.c */
extern const Slot nv_slots[NUM_SLOTS];
extern const Profile nv_profiles[3];
void nv_list_layers(const nvrc_decoder *d, Network *network);
const Layer *nv_layer(const Network *network, LayerKind kind, int stage, int block);
int nv_stage_stride(int stage);
int nv_num_subplanes(int chroma_format);

static inline int nv_present(const Network *network, int slot) { return network->grid_mask >> slot & 1; }

static inline int64_t nv_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* planes.c, motion.c, wavelet.c */
Status nv_take_planes(nvrc_decoder *d);
const Array *nv_planes(nvrc_decoder *d, int64_t t); /* both sets of planes at frame t */
void nv_node_activations(const nvrc_decoder *d, int slot, int64_t n, Array *out);
void nv_motion(nvrc_decoder *d, int64_t t, int64_t a, int64_t b, int share);
void nv_refine(const Array *plane, Array *half);
void nv_predict(const nvrc_decoder *d, const Array *pa, const Array *pb, int step, Array *out);
void nv_luma_residual(nvrc_decoder *d, int64_t n);

/* synthesis.c, reconstruction.c */
Status nv_take_activations(nvrc_decoder *d);
void nv_synthesise(nvrc_decoder *d, int64_t t);
void nv_double(const Array *a, int channels, Array *out);
Status nv_take_raw(nvrc_decoder *d);
void nv_reconstruct(nvrc_decoder *d);
Status nv_check_digest(Reader *r);

static inline int16_t *nv_row(const Array *a, int c, int64_t y) {
  return a->v + (size_t)(c * (int64_t)a->rows + y) * (size_t)a->columns;
}

/* crc32.c, sha256.c */
uint32_t nv_crc32(const uint8_t *data, size_t size);
void nv_sha256_init(Sha256 *s);
void nv_sha256_update(Sha256 *s, const uint8_t *data, size_t size);
void nv_sha256_final(Sha256 *s, uint8_t digest[32]);

/* tables.c, which make_tables.c writes: Table t has the symbols s = 0 .. nv_laplace_start[t + 1] - nv_laplace_start[t]
 * - 2, and nv_laplace_left[nv_laplace_start[t] + s] is the sum of the frequencies before s; the last entry is 2^24. */
extern const uint32_t nv_laplace_start[NUM_TABLES + 1];
extern const uint32_t nv_laplace_left[];
extern const int32_t nv_prior[];

#endif
