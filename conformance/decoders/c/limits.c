/* 9.3, 9.4: local limits and levels. */
#include "internal.h"

static Status limit(const Reader *r, uint64_t value, uint64_t most, const char *sentence) {
  return value <= most ? 0 : nv_over_limit(r->d, r->pos, sentence);
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

Status nv_check_sequence_limits(nvrc_decoder *d, const Reader *r) {
  const nvrc_sequence *s = &d->sequence;
  const Level *l = &levels[s->level];
  uint64_t size = (uint64_t)s->width * s->height;
  TRY(nv_require(r, size <= l->max_frame_size, R9_1));
  TRY(nv_require(r, s->width <= l->max_side && s->height <= l->max_side, R9_2));
  /* MaxRate * rate_denominator may need more than 64 bits; so the quotient is compared, rounded up. */
  uint64_t rate = (size * s->rate_numerator + s->rate_denominator - 1) / s->rate_denominator;
  TRY(nv_require(r, rate <= l->max_rate, R9_3));
  TRY(limit(r, s->width, d->options.limits.width, "width is within the limit of this decoder"));
  TRY(limit(r, s->height, d->options.limits.height, "height is within the limit of this decoder"));
  return limit(r, size, d->options.limits.pixels, "width * height is within the limit of this decoder");
}

Status nv_check_gop_limits(nvrc_decoder *d, const Reader *r, uint64_t symbols) {
  const Level *l = &levels[d->sequence.level];
  const nvrc_limits *limits = &d->options.limits;
  uint64_t frames = (uint64_t)d->gop.frame_count, all = d->at.frames + frames, bytes = d->at.unit.end + 4;
  TRY(nv_require(r, frames <= l->max_gop_frames, R9_4));
  TRY(nv_require(r, symbols <= l->max_gop_symbols, R9_5));
  TRY(limit(r, frames, limits->gop_frames, "frame_count is within the limit of this decoder"));
  TRY(limit(r, symbols, limits->gop_symbols, "GopSymbols is within the limit of this decoder"));
  TRY(limit(r, d->at.unit_count[0x03] + 1, limits->gops, "the number of GOPs is within the limit of this decoder"));
  return limit(r, all > bytes ? all - bytes : 0, limits->surplus_frames,
               "frames are at most max_surplus_frames more than bytes");
}
