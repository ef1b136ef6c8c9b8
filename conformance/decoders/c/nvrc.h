/* Decoder of the nvrc bitstream, version 4: the public interface.
 *
 *   nvrc_open      reads the stream header and SEQUENCE
 *   nvrc_decode    yields one frame in each call, in the order of display; at last NVRC_END
 *   nvrc_seek      says which frame is the next one
 *   nvrc_close     frees everything
 *
 * A decoder has no global state: several may run in several threads. It uses no memory but that of its allocator, and
 * reads nothing but what it has to. Section numbers in all files are those of spec/. */
#ifndef NVRC_H
#define NVRC_H

#include <stddef.h>
#include <stdint.h>

typedef enum { NVRC_OK, NVRC_END, NVRC_ERROR } nvrc_status;

/* 9.1: what kind of fault an error is; the values are the exit codes there. */
typedef enum { NVRC_INVALID = 65, NVRC_UNSUPPORTED = 69, NVRC_IO = 74, NVRC_LIMIT = 77 } nvrc_kind;

typedef struct {
  nvrc_kind kind;
  const char *code;        /* of 9.2, such as "E_RANGE"; "E_MEMORY" or "E_READ" where allocator or source failed */
  uint64_t offset;         /* byte of the stream at fault */
  const char *unit;        /* name of the unit at fault, or "stream" outside of the units */
  uint64_t unit_number;    /* counted from 0 among those of its type; after nvrc_seek, among those that it knows of */
  const char *requirement; /* such as "R3.25", or "" where there is none */
  const char *section;     /* such as "3.3" */
  const char *sentence;    /* what is required, as annex B says it */
} nvrc_error;

/* 9.3: local limits. A stream over one of them is reported as NVRC_LIMIT before memory or time is spent on it. */
typedef struct {
  uint64_t width, height, pixels;      /* of a frame, in luma samples */
  uint64_t gop_frames, gop_symbols;    /* of each GOP: its frames and GopSymbols (3.4) */
  uint64_t gops;                       /* of the stream */
  uint64_t unit_bytes, metadata_bytes; /* unit_length of any unit, and of METADATA */
  uint64_t network_parameters;         /* weights and biases of a NETWORK */
  uint64_t surplus_frames;             /* by how much frames may outnumber the bytes read so far */
  uint64_t memory_bytes;               /* of all memory that the decoder takes at the same time, apart from itself */
} nvrc_limits;

/* allocate returns memory aligned for any type, or NULL. */
typedef struct {
  void *(*allocate)(void *user, size_t size);
  void (*release)(void *user, void *memory);
  void *user;
} nvrc_allocator;

/* Is told each stage before the frames, with its path and its digest, as conformance/README.md defines them ("Stage
 * digests"); both strings are valid during the call. After nvrc_seek, NETWORKs are numbered in the order in which they are
 * reported. A NULL function is never called. */
typedef struct {
  void (*stage)(void *user, const char *path, const char *digest);
  void *user;
} nvrc_observer;

typedef struct {
  nvrc_limits limits;
  nvrc_allocator allocator;
  nvrc_observer observer;
} nvrc_options;

/* Where a stream of `size` bytes is read: `read` copies `count` bytes from `offset` on, all of which lie in the stream,
 * and returns 0, or another value where it cannot. */
typedef struct {
  int (*read)(void *user, uint64_t offset, void *to, size_t count);
  void *user;
  uint64_t size;
} nvrc_source;

/* SEQUENCE, 3.2. */
typedef struct {
  uint32_t width, height;
  uint32_t rate_numerator, rate_denominator;
  int chroma_format; /* 0: 4:0:0, 1: 4:2:0, 2: 4:4:4 */
  int bit_depth;     /* 8 or 10 */
  int colour_primaries, transfer_characteristics, matrix_coefficients, full_range;
  int chroma_sample_position; /* of 4:2:0 */
  int profile, level;
} nvrc_sequence;

/* A frame as its raw bytes (8.3): the planes Y, Cb and Cr, without padding; samples of 10 bits in two bytes,
 * little-endian. The bytes are valid until the next call. */
typedef struct {
  const uint8_t *bytes;
  size_t size;
  uint64_t index; /* of the frame in the stream, from 0 */
} nvrc_frame;

/* METADATA, 3.6: an entry as it is in the stream. The key has no zero byte at its end. */
typedef struct {
  const char *key;
  size_t key_size;
  const uint8_t *value;
  size_t value_size;
  uint64_t first_frame; /* frames before the entry: nvrc.times holds from this one on */
  uint64_t next;        /* where the next call goes on */
} nvrc_metadata;

typedef struct nvrc_decoder nvrc_decoder;

/* The limits of 9.3, malloc and free, no observer. */
nvrc_options nvrc_default_options(void);

/* Opens a stream. NULL for options means the defaults. Returns NULL on an error, which is then in *error. */
nvrc_decoder *nvrc_open(const nvrc_source *source, const nvrc_options *options, nvrc_error *error);

/* The same, for a stream in the caller's memory, which must stay there until nvrc_close. */
nvrc_decoder *nvrc_open_memory(const uint8_t *data, size_t size, const nvrc_options *options, nvrc_error *error);

/* SEQUENCE; valid until nvrc_close. */
const nvrc_sequence *nvrc_get_sequence(const nvrc_decoder *decoder);

/* NVRC_OK: *frame is the next frame. NVRC_END: no frames are left; where nvrc_seek was never called, the stream is
 * complete and kept every requirement. NVRC_ERROR: *error says why; so does every later call, until nvrc_seek. The
 * digest of a GOP is checked in the call after that of its last frame (8.3), if all of its frames were decoded. */
nvrc_status nvrc_decode(nvrc_decoder *decoder, nvrc_frame *frame, nvrc_error *error);

/* 2.8: makes `frame` the next one. Reads INDEX, or the headers of all units where there is none, in the first such
 * call; then the NETWORK and the GOP that are needed. NVRC_END: the stream has no such frame. After NVRC_ERROR another
 * seek may succeed: one GOP does not need another. */
nvrc_status nvrc_seek(nvrc_decoder *decoder, uint64_t frame, nvrc_error *error);

/* The number of frames and of GOPs, found as by nvrc_seek. Does not change what the next frame is. */
nvrc_status nvrc_count(nvrc_decoder *decoder, uint64_t *frames, uint64_t *gops, nvrc_error *error);

/* Where a GOP's unit begins and which of the stream's frames is its first, found as by nvrc_seek. NVRC_END: the stream
 * has no such GOP. Does not change what the next frame is. */
nvrc_status nvrc_get_gop(nvrc_decoder *decoder, uint64_t gop, uint64_t *offset, uint64_t *first_frame,
                         nvrc_error *error);

/* Goes from *entry, which is all zeros at first, to the next entry under `key`, or to the next one of all where key is
 * NULL. NVRC_END: there is none. Goes over the headers of the units between, and does not interpret the value (3.6.1).
 * Key and value are valid until the next call. Does not change what the next frame is. */
nvrc_status nvrc_next_metadata(nvrc_decoder *decoder, const char *key, nvrc_metadata *entry, nvrc_error *error);

/* Frees all memory of the decoder. */
void nvrc_close(nvrc_decoder *decoder);

#endif
