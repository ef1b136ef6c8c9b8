/* The types that the files of the decoder share. Names in MixedCase and ALL_CAPS of spec/ keep their words here. */
#ifndef NVRC_TYPES_H
#define NVRC_TYPES_H

#include "nvrc.h"
#include "requirements.h"

/* 1.3 wants `>>` to round down for negative numbers, too; C leaves that to the compiler. This does not compile where it
 * does not hold. */
typedef char nv_shifts_round_down[(-3 >> 1) == -2 ? 1 : -1];

enum { NUM_STAGES = 5, NUM_SLOTS = 11, MAX_CHANNELS = 8, MAX_LAYERS = 32, NUM_LEVELS_MAX = 4 };
enum { MAX_STAGE_CHANNELS = 64, MAX_INJECTED = 8 }; /* of all profiles */
enum { FOOTER_BYTES = 12 };
enum { PLANE_SLOT = 4, FIRST_BAND = 5, LAST_BAND = 8, FLOW_SLOT = 9, SPLIT_SLOT = 10 };
enum { NODE_SLOTS = 0x1f0, BAND_SLOTS = 0x1e0, MAPPED_SLOTS = 0x5f0 };
enum { Q_MAX = 2047, BIAS_MAX = 65535, WEIGHT_MAX = 1024, ACTIVATION_MIN = -2048, ACTIVATION_MAX = 2047 };
enum { LIFTING_STRIP = 16 }; /* columns that the wavelet transforms at once */
enum { ACCUMULATOR_LIMIT = 1 << 24, NUM_TABLES = 320, CONTEXT_INPUTS = 51, CONTEXT_WIDTH_MAX = 64, MAX_SPLITS = 32 };

#define NAME(name, number, section, code, sentence) name,
typedef enum { NVRC_REQUIREMENTS(NAME) } Requirement;

typedef int Status; /* 0, or 1 where nv_fail has recorded an error */

#define TRY(call)       \
  do {                  \
    if (call) return 1; \
  } while (0)

/* Memory is freed by scope, so that no error path has to free anything. */
typedef enum { SCOPE_TABLE, SCOPE_NEW_TABLE, SCOPE_BUFFER, SCOPE_NETWORK, SCOPE_GOP, SCOPE_GRID, NUM_SCOPES } Scope;

typedef struct Block {
  struct Block *next;
  uint64_t size;
} Block;

/* Integers with the axes channel, row, column. */
typedef struct {
  int channels, rows, columns;
  int16_t *v;
} Array;

/* 1.4: reads elements from offset pos on, up to offset end of the stream; bytes[0] is the byte at offset base. */
typedef struct {
  nvrc_decoder *d;
  const uint8_t *bytes;
  uint64_t base, pos, end;
  int in_payload;
} Reader;

/* Words of entropy coding, and where they are in the stream. */
typedef struct {
  const uint8_t *bytes;
  uint64_t offset, size;
} Payload;

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

typedef struct {
  uint32_t h[8];
  uint64_t length;
  uint8_t block[64];
} Sha256;

/* A layer with `inputs` weights for each output: weight j of output o is w[o * inputs + j]. */
typedef struct {
  LayerKind kind;
  int stage, block;
  int outputs, inputs;
  int input_max, lo, hi;
  int weight_step, shift, weight_table, bias_shift, bias_table;
  int32_t *w, *b;
  Sha256 coded; /* for an observer: q and b_q */
} Layer;

/* The stages of synthesis, in the order of conformance/README.md; those of stage k are 5 * k farther. */
enum { STAGE_DISPLACEMENT, STAGE_WEIGHT, STAGE_LUMA_RESIDUAL, STAGE_QUARTER, STAGE_LUMA };
enum {
  STAGE_INJECT = 5,
  STAGE_SUM,
  STAGE_BLOCK,
  STAGE_HEAD = STAGE_INJECT + 5 * NUM_STAGES,
  STAGE_SUBPLANES,
  NUM_OBSERVED
};

/* What NETWORK says of a grid (3.3). */
typedef struct {
  int channels;
  int multiplier[MAX_CHANNELS];
  int schedule;
  int num_splits;
  uint8_t split[MAX_SPLITS]; /* where schedule is 2: runs, expanded */
} GridHeader;

typedef struct {
  int in_force, reported;
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
  Payload payload;
  int16_t *q; /* [nodes][channels][rows][columns] */
} Grid;

/* 7.6.2: S = refine(P) for all planes P of a set, by the parities of row and column: S[i][j] is in
 * phase[2 * (i & 1) + (j & 1)] at row i >> 1 and column j >> 1. phase[0] is the set itself. The others have no last row
 * or column of half samples, but space for it. */
typedef struct {
  Array phase[4];
} Halves;

/* The planes of a node (7.6): set 0 is Quarter, set 1 is Luma. An absent set has 0 channels. */
typedef struct {
  int64_t frame; /* -1: holds none */
  Array set[2];
  Halves half[2];
} Node;

typedef struct {
  Node node[NUM_LEVELS_MAX + 2];
  Array predicted[2];    /* planes of a frame that is not a node */
  const Array *current;  /* planes of the frame in synthesis, both sets */
  Array residual[2];     /* of a node */
  Array band;            /* the wavelet: the values of a slot, in quarters */
  Array rows;            /* the wavelet: L and G, between its two passes */
  int32_t *lifting;      /* the wavelet: s and d of a row or of a strip of columns */
  Array flow[2];         /* of the frame and of one reference */
  Array by16, by8;       /* displacements or blend, at points that are 16 and 8 luma samples apart */
  Array displacement[2]; /* to the earlier and to the later reference */
  Array weight, split;
} Planes;

typedef struct {
  Array g;             /* what enters a stage */
  Array before, after; /* the temporal filter: injections of two frames */
  Array a[2];          /* activations of a stage */
  Array h;             /* one row of a hidden layer */
  int32_t *sums;       /* one row */
  int16_t *zeros;      /* for what lies outside of an array */
  Array subplanes;
  Array head; /* for an observer: all rows of head.depthwise */
} Activations;

typedef struct {
  int64_t frame_count, next_frame;
  int active;
  int whole; /* all of its frames are decoded, so that the digest can be checked */
  Grid grid[NUM_SLOTS];
  Planes planes;
  Activations act;
  uint8_t *raw;
  size_t raw_size;
  Sha256 sha;
  struct {
    int used;
    Sha256 sha;
  } stage[NUM_OBSERVED]; /* for an observer */
} Gop;

/* A unit: its first byte, its payload, and its crc at `end` (2.3). */
typedef struct {
  int type;
  uint64_t offset, payload, end;
} Unit;

/* How far the stream has been read. */
typedef struct {
  uint64_t pos;
  Unit unit;                /* the one being read; type 0 between units */
  uint64_t unit_count[256]; /* units before it, by type */
  uint64_t frames;          /* in the GOPs before pos */
  uint64_t network;         /* 2.5: offset of the NETWORK in force, or 0 */
  uint64_t index_offset;    /* 0: no INDEX so far */
  int ended;
} Place;

/* 3.7 */
typedef struct {
  uint64_t offset, first_frame, network_offset;
} Entry;

/* What is known of the GOPs of the stream; all of it where `complete`. */
typedef struct {
  Entry *entry;
  uint64_t count, capacity, frames;
  uint64_t index_offset; /* of the INDEX that it comes from, or 0 */
  int complete;
  Scope scope;
} Table;

struct nvrc_decoder {
  nvrc_options options;
  nvrc_error error;
  int failed;
  Block *blocks[NUM_SCOPES];
  uint64_t memory;

  nvrc_source source;
  const uint8_t *data; /* where the stream lies in memory, or NULL */
  uint8_t *buffer;     /* what was read last, else */
  uint64_t buffer_size;

  uint64_t units_start; /* the end of SEQUENCE */
  Place at;
  Table table;
  nvrc_sequence sequence;
  const Profile *profile;
  Network network;
  Gop gop;
  uint64_t networks_reported;
};

#endif
