/* What the files of the decoder offer each other. */
#ifndef NVRC_INTERNAL_H
#define NVRC_INTERNAL_H

#include <string.h>

#include "types.h"

/* errors.c */
Status nv_fail(nvrc_decoder *d, uint64_t offset, Requirement requirement);
Status nv_over_limit(nvrc_decoder *d, uint64_t offset, const char *sentence);
Status nv_no_memory(nvrc_decoder *d);
Status nv_no_data(nvrc_decoder *d, uint64_t offset);

/* memory.c */
void *nv_take(nvrc_decoder *d, Scope scope, uint64_t count, uint64_t size);
void nv_release(nvrc_decoder *d, Scope scope);
Status nv_take_array(nvrc_decoder *d, Array *array, int channels, int64_t rows, int64_t columns);

/* limits.c */
Status nv_check_sequence_limits(nvrc_decoder *d, const Reader *r);
Status nv_check_gop_limits(nvrc_decoder *d, const Reader *r, uint64_t symbols);

/* reader.c */
Status nv_bytes(Reader *r, uint64_t count, const uint8_t **bytes);
Status nv_uint(Reader *r, int bytes, uint64_t *value);
Status nv_leb128(Reader *r, uint64_t *value);
Status nv_element(Reader *r, int bytes, uint64_t lo, uint64_t hi, Requirement requirement, uint64_t *value);
Status nv_payload(Reader *r, Requirement multiple_of_4, Payload *payload);
Status nv_require(const Reader *r, int condition, Requirement requirement);
Status nv_payload_end(const Reader *r);

/* container.c: the units of the stream, and what lies around them. */
Status nv_load(nvrc_decoder *d, uint64_t offset, uint64_t size, const uint8_t **bytes);
Status nv_open_stream(nvrc_decoder *d);
Status nv_find_unit(nvrc_decoder *d, uint64_t pos, Reader *payload);
Status nv_next_unit(nvrc_decoder *d, Reader *payload);
void nv_unit_done(nvrc_decoder *d);
Status nv_end_of_stream(nvrc_decoder *d);

/* 2.4: types below 0x80 are critical. */
static inline int nv_unknown(int unit_type) { return unit_type == 0 || (unit_type > 0x05 && unit_type < 0x80); }

/* order.c: reads the units of the stream in their order. */
Status nv_read_unit(nvrc_decoder *d);
Status nv_hop(nvrc_decoder *d, Table *table);

/* table.c, seek.c */
Status nv_add_gop(nvrc_decoder *d, Table *table, const Entry *entry);
Status nv_note_gop(nvrc_decoder *d, uint64_t frame_count);
Status nv_read_index(Reader *r, Table *table);
Status nv_complete_table(nvrc_decoder *d);
void nv_begin_units(nvrc_decoder *d);

/* syntax.c, syntax_network.c, syntax_gop.c */
Status nv_read_sequence(Reader *r);
Status nv_read_network(Reader *r);
extern const int nv_coding_order[NUM_SLOTS];
Status nv_read_gop(Reader *r);
Status nv_read_metadata(Reader *r, nvrc_metadata *entry);
Status nv_read_totals(Reader *r, uint64_t *frames, uint64_t *gops);
Status nv_read_end(Reader *r);

/* entropy.c */
typedef struct {
  nvrc_decoder *d;
  const uint8_t *next, *end;
  uint64_t offset;
  uint64_t state;
} Rans;

Status nv_rans_init(Rans *r, nvrc_decoder *d, const Payload *payload);
Status nv_decode_step(Rans *r, size_t n, const uint16_t *table, const int16_t *mean, int32_t limit, size_t *order,
                      int32_t *value);
Status nv_rans_end(const Rans *r);
Status nv_decode_parameters(nvrc_decoder *d, Network *network, const Payload *payload);

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

/* `count` positions of a row that are `stride` apart, beginning at column x. */
typedef struct {
  int64_t n, y, x, stride;
  int c, count;
} Run;

Status nv_decode_grid(nvrc_decoder *d, int slot);
void nv_context_step(GridDecoder *g, int level_index, int ordinal);
void nv_context_row(const GridDecoder *g, const Run *run, uint16_t *table, int16_t *mean);

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

/* stages.c */
void nv_observe_sequence(const nvrc_decoder *d);
void nv_observe_parameters(const nvrc_decoder *d, Layer *layer);
Status nv_observe_gop(nvrc_decoder *d);
void nv_observe(nvrc_decoder *d, int stage, const Array *a);
void nv_observe_planes(nvrc_decoder *d, int64_t t);
void nv_observe_synthesis(nvrc_decoder *d);

/* planes.c, motion.c, wavelet.c */
int nv_references(const Network *network, int64_t t, int64_t *a, int64_t *b);
Status nv_take_planes(nvrc_decoder *d);
const Array *nv_planes(nvrc_decoder *d, int64_t t); /* both sets of planes at frame t */
void nv_node_activations(const nvrc_decoder *d, int slot, int64_t n, Array *out);
void nv_motion(nvrc_decoder *d, int64_t t, int64_t a, int64_t b, int share);
void nv_refine(Halves *s);
void nv_predict(const nvrc_decoder *d, const Halves *pa, const Halves *pb, int step, Array *out);
void nv_luma_residual(nvrc_decoder *d, int64_t n);

/* rows.c */
void nv_begin(const Layer *layer, int32_t bias, int32_t *sums, int columns);
void nv_add_rows(int32_t *sums, const int32_t *w, const int16_t *const *v, int count, int columns);
void nv_finish(const Layer *layer, const int32_t *sums, int16_t *out, int columns);
void nv_list_taps(const Array *a, int c, int y, const int16_t *zeros, const int16_t **tap);
void nv_add_taps(int32_t *sums, const int32_t *w, const int16_t *const *tap, int count, int columns);
void nv_near_and_far(int v, int size, int *nearer, int *farther);
void nv_double_row(const int16_t *nearer, const int16_t *farther, int size, int32_t *sums, int16_t *out, int columns);

/* synthesis.c, reconstruction.c */
Status nv_take_activations(nvrc_decoder *d);
void nv_synthesise(nvrc_decoder *d, int64_t t);
Status nv_take_raw(nvrc_decoder *d);
void nv_reconstruct(nvrc_decoder *d);
Status nv_read_digest(Reader *r, const uint8_t **digest);
Status nv_check_digest(Reader *r);

static inline int16_t *nv_row(const Array *a, int c, int64_t y) {
  return a->v + (size_t)(c * (int64_t)a->rows + y) * (size_t)a->columns;
}

static inline size_t nv_values(const Array *a) { return (size_t)a->channels * (size_t)a->rows * (size_t)a->columns; }

/* crc32.c, sha256.c */
uint32_t nv_crc32(const uint8_t *data, size_t size);
void nv_sha256_init(Sha256 *s);
void nv_sha256_update(Sha256 *s, const uint8_t *data, size_t size);
void nv_sha256_final(Sha256 *s, uint8_t digest[32]);

/* tables.c, which make_tables.c writes. Table t has the symbols s = 0 .. nv_laplace_start[t + 1] - nv_laplace_start[t]
 * - 1, and nv_laplace_left[nv_laplace_start[t] + s] is the sum of the frequencies before s, in 24 bits. */
extern const uint32_t nv_laplace_start[NUM_TABLES + 1];
extern const uint8_t nv_laplace_left[][3];
extern const int32_t nv_prior[];

#endif
