/* Decoder of the nvrc bitstream, version 3: the public interface.
 *
 *   nvrc_open     reads the stream header and SEQUENCE
 *   nvrc_decode   yields one frame in each call, in the order of display; at last NVRC_END
 *   nvrc_close    frees everything
 *
 * The stream lies in the caller's memory and must stay there until nvrc_close. A decoder has no global state: several
 * may run in several threads. Section numbers in all files are those of spec/. */
#ifndef NVRC_H
#define NVRC_H

#include <stddef.h>
#include <stdint.h>

typedef enum { NVRC_FRAME, NVRC_END, NVRC_ERROR } nvrc_status;

/* 9.1: what kind of fault an error is. */
typedef enum { NVRC_INVALID = 65, NVRC_UNSUPPORTED = 69, NVRC_LIMIT = 77 } nvrc_kind;

typedef struct {
  nvrc_kind kind;
  const char *code;        /* of 9.2, such as "E_RANGE"; "E_MEMORY" where the allocator had no memory */
  uint64_t offset;         /* byte of the stream at fault */
  const char *unit;        /* name of the unit at fault, or "stream" outside of the units */
  uint64_t unit_number;    /* counted from 0 among those of its type */
  const char *requirement; /* such as "R3.25", or "" where there is none */
  const char *section;     /* such as "3.3" */
  const char *sentence;    /* what is required */
} nvrc_error;

/* 9.3: local limits. A stream over one of them is reported as NVRC_LIMIT before memory or time is spent on it. */
typedef struct {
  uint64_t width, height, pixels;
  uint64_t gop_frames, gop_symbols, gops;
  uint64_t unit_bytes, metadata_bytes;
  uint64_t network_parameters;
  uint64_t surplus_frames;
  uint64_t memory_bytes; /* of all memory that the decoder takes at the same time */
} nvrc_limits;

/* allocate returns memory aligned for any type, or NULL. */
typedef struct {
  void *(*allocate)(void *user, size_t size);
  void (*release)(void *user, void *memory);
  void *user;
} nvrc_allocator;

/* SEQUENCE, 3.2. */
typedef struct {
  uint32_t width, height;
  uint32_t rate_numerator, rate_denominator;
  int chroma_format; /* 0: 4:0:0, 1: 4:2:0, 2: 4:4:4 */
  int bit_depth;     /* 8 or 10 */
  int colour_primaries, transfer_characteristics, matrix_coefficients, full_range;
  int chroma_sample_position;
  int profile, level;
} nvrc_sequence;

/* A frame as its raw bytes (8.3): the planes Y, Cb and Cr, without padding; samples of 10 bits in two bytes,
 * little-endian. The bytes are valid until the next call. */
typedef struct {
  const uint8_t *bytes;
  size_t size;
} nvrc_frame;

typedef struct nvrc_decoder nvrc_decoder;

/* The limits of spec 9.3. */
nvrc_limits nvrc_default_limits(void);

/* Opens the stream of `size` bytes at `data`. NULL for limits or allocator means the defaults (malloc and free).
 * Returns NULL on an error, which is then in *error. */
nvrc_decoder *nvrc_open(const uint8_t *data, size_t size, const nvrc_limits *limits, const nvrc_allocator *allocator,
                        nvrc_error *error);

const nvrc_sequence *nvrc_get_sequence(const nvrc_decoder *decoder);

/* NVRC_FRAME: *frame is the next frame. NVRC_END: the stream is complete and kept every requirement. NVRC_ERROR: *error
 * says why; so does every later call. The digest of a GOP is checked in the call after that of its last frame (8.3). */
nvrc_status nvrc_decode(nvrc_decoder *decoder, nvrc_frame *frame, nvrc_error *error);

void nvrc_close(nvrc_decoder *decoder);

#endif
