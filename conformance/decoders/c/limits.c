/* Chapter 9: errors, local limits, levels; and the memory that the limits cap. */
#include "internal.h"

#include <stdlib.h>

static const char *unit_name(int type) {
  switch (type) {
    case 0x01: return "SEQUENCE";
    case 0x02: return "NETWORK";
    case 0x03: return "GOP";
    case 0x04: return "DIGEST";
    case 0x05: return "END";
    case 0x81: return "METADATA";
    case 0x82: return "INDEX";
    case 0x00: return "stream";
    default: return "unit";
  }
}

/* 9.2: records an error. A code says of which kind it is. */
Status nv_fail(nvrc_decoder *d, const char *code, uint64_t offset, const char *section, const char *requirement,
               const char *sentence) {
  nvrc_error *e = &d->error;
  e->kind = NVRC_INVALID;
  if (strcmp(code, "E_VERSION") == 0 || strcmp(code, "E_UNSUPPORTED") == 0) e->kind = NVRC_UNSUPPORTED;
  if (strcmp(code, "E_LIMIT") == 0 || strcmp(code, "E_MEMORY") == 0) e->kind = NVRC_LIMIT;
  e->code = code;
  e->offset = offset;
  e->unit = unit_name(d->unit.type);
  e->unit_number = d->unit_count[d->unit.type];
  e->section = section;
  e->requirement = requirement;
  e->sentence = sentence;
  d->failed = 1;
  return 1;
}

/* 9.3 */
nvrc_limits nvrc_default_limits(void) {
  nvrc_limits limits;
  limits.width = 8192;
  limits.height = 8192;
  limits.pixels = 16777216;
  limits.gop_frames = 1024;
  limits.gop_symbols = 134217728;
  limits.gops = 65536;
  limits.unit_bytes = 33554432;
  limits.metadata_bytes = 1048576;
  limits.network_parameters = 1048576;
  limits.surplus_frames = 256;
  limits.memory_bytes = 900000000;
  return limits;
}

static Status limit(const Reader *r, uint64_t value, uint64_t most, const char *sentence) {
  return value <= most ? 0 : nv_fail(r->d, "E_LIMIT", r->pos, "9.3", "", sentence);
}

typedef struct {
  uint64_t max_frame_size, max_side, max_rate, max_gop_symbols, max_gop_frames;
} Level;

/* 9.4 */
static const Level levels[7] = {
    {131072, 1024, 4194304, 16777216, 1024},
    {524288, 2048, 33554432, 33554432, 1024},
    {1048576, 2048, 67108864, 67108864, 1024},
    {2097152, 4096, 134217728, 134217728, 1024},
    {9437184, 8192, 536870912, 536870912, 2048},
    {37748736, 16384, 2147483648u, 2147483648u, 4096},
    {4294836225u, 65535, (uint64_t)1 << 40, (uint64_t)1 << 40, 65536},
};

static Status level(const Reader *r, int condition, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(r->d, "E_LEVEL", r->pos, "9.4", requirement, sentence);
}

Status nv_check_sequence_limits(nvrc_decoder *d, const Reader *r) {
  const nvrc_sequence *s = &d->sequence;
  const Level *l = &levels[s->level];
  uint64_t size = (uint64_t)s->width * s->height;
  TRY(level(r, size <= l->max_frame_size, "R9.1", "width * height is at most MaxFrameSize of the level"));
  TRY(level(r, s->width <= l->max_side && s->height <= l->max_side, "R9.2", "width and height are at most MaxSide"));
  /* MaxRate * rate_denominator may need more than 64 bits; so the quotient is compared, rounded up. */
  uint64_t rate = (size * s->rate_numerator + s->rate_denominator - 1) / s->rate_denominator;
  TRY(level(r, rate <= l->max_rate, "R9.3", "width * height * rate_numerator is at most MaxRate * rate_denominator"));
  TRY(limit(r, s->width, d->limits.width, "width is within the limit of this decoder"));
  TRY(limit(r, s->height, d->limits.height, "height is within the limit of this decoder"));
  return limit(r, size, d->limits.pixels, "width * height is within the limit of this decoder");
}

Status nv_check_gop_limits(nvrc_decoder *d, uint64_t symbols) {
  const Level *l = &levels[d->sequence.level];
  uint64_t frames = (uint64_t)d->gop.frame_count, all = d->frames + frames, bytes = d->unit.end + 4;
  Reader at = {d, d->unit.payload, d->unit.end, 1, "3.4"};
  TRY(level(&at, frames <= l->max_gop_frames, "R9.4", "frame_count of each GOP is at most MaxGopFrames"));
  TRY(level(&at, symbols <= l->max_gop_symbols, "R9.5", "GopSymbols of each GOP is at most MaxGopSymbols"));
  TRY(limit(&at, frames, d->limits.gop_frames, "frame_count is within the limit of this decoder"));
  TRY(limit(&at, symbols, d->limits.gop_symbols, "GopSymbols is within the limit of this decoder"));
  TRY(limit(&at, d->unit_count[0x03] + 1, d->limits.gops, "the number of GOPs is within the limit of this decoder"));
  return limit(&at, all > bytes ? all - bytes : 0, d->limits.surplus_frames,
               "frames are at most max_surplus_frames more than bytes");
}

enum { BLOCK_HEADER = (sizeof(Block) + 15) / 16 * 16 };

/* Zeroed memory for `count` elements of `size` bytes, or NULL after nv_fail. It is freed with its scope. */
void *nv_take(nvrc_decoder *d, Scope scope, uint64_t count, uint64_t size) {
  uint64_t left = d->limits.memory_bytes - d->memory;
  Block *block;
  if (left < BLOCK_HEADER || count > (left - BLOCK_HEADER) / size || count > (SIZE_MAX - BLOCK_HEADER) / size) {
    nv_fail(d, "E_LIMIT", d->unit.offset, "9.3", "", "the memory is within the limit of this decoder");
    return NULL;
  }
  uint64_t bytes = BLOCK_HEADER + count * size;
  block = d->allocator.allocate(d->allocator.user, (size_t)bytes);
  if (!block) {
    nv_fail(d, "E_MEMORY", d->unit.offset, "9.2", "", "there is enough memory");
    return NULL;
  }
  memset(block, 0, (size_t)bytes);
  block->next = d->blocks[scope];
  block->size = bytes;
  d->blocks[scope] = block;
  d->memory += bytes;
  return (uint8_t *)block + BLOCK_HEADER;
}

void nv_release(nvrc_decoder *d, Scope scope) {
  while (d->blocks[scope]) {
    Block *block = d->blocks[scope];
    d->blocks[scope] = block->next;
    d->memory -= block->size;
    d->allocator.release(d->allocator.user, block);
  }
}

/* An array of zeros that lives as long as the GOP. */
Status nv_take_array(nvrc_decoder *d, Array *array, int channels, int64_t rows, int64_t columns) {
  array->channels = channels;
  array->rows = (int)rows;
  array->columns = (int)columns;
  array->v = nv_take(d, SCOPE_GOP, (uint64_t)channels * (uint64_t)rows * (uint64_t)columns, sizeof *array->v);
  return array->v == NULL;
}
