/* Chapter 8: from subplanes to planes, and the digest. */
#include "internal.h"

static uint64_t values_of_stage(const nvrc_decoder *d, int k, int channels) {
  return (uint64_t)nv_ceil_div(d->sequence.height, nv_stage_stride(k)) *
         (uint64_t)nv_ceil_div(d->sequence.width, nv_stage_stride(k)) * (uint64_t)channels;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Memory for the arrays of synthesis: each as large as the largest stage needs it. */
Status nv_take_activations(nvrc_decoder *d) {
  const Network *n = &d->network;
  Activations *act = &d->gop.act;
  uint64_t stage = 0, injected = 0, first = values_of_stage(d, 0, n->stage_channels[0]);
  int64_t rows = nv_ceil_div(d->sequence.height, 2), columns = nv_ceil_div(d->sequence.width, 2);
  int widest = 4 * n->stage_channels[4];
  for (int k = 0; k < NUM_STAGES; k++) {
    stage = larger(stage, values_of_stage(d, k, n->stage_channels[k]));
    injected = larger(injected, values_of_stage(d, k, n->injected[k]));
    if (n->stage_channels[k] > widest) widest = n->stage_channels[k];
  }
  if (!(act->g.v = nv_take(d, SCOPE_GOP, injected, sizeof *act->g.v))) return 1;
  for (int i = 0; i < 2; i++)
    if (!(act->a[i].v = nv_take(d, SCOPE_GOP, stage, sizeof *act->a[i].v))) return 1;
  if (d->profile->temporal_filter) {
    if (!(act->before.v = nv_take(d, SCOPE_GOP, first, sizeof *act->before.v))) return 1;
    if (!(act->after.v = nv_take(d, SCOPE_GOP, first, sizeof *act->after.v))) return 1;
  }
  if (!(act->sums = nv_take(d, SCOPE_GOP, (uint64_t)columns, sizeof *act->sums))) return 1;
  if (!(act->zeros = nv_take(d, SCOPE_GOP, (uint64_t)columns + 2, sizeof *act->zeros))) return 1;
  TRY(nv_take_array(d, &act->h, widest, 1, columns));
  if (d->options.observer.stage) TRY(nv_take_array(d, &act->head, 4 * n->stage_channels[4], rows, columns));
  return nv_take_array(d, &act->subplanes, nv_num_subplanes(d->sequence.chroma_format), rows, columns);
}

/* 8.2: the size of plane p. */
static void plane_size(const nvrc_sequence *s, int p, int64_t *rows, int64_t *columns) {
  int halved = p > 0 && s->chroma_format == 1;
  *rows = halved ? nv_ceil_div(s->height, 2) : s->height;
  *columns = halved ? nv_ceil_div(s->width, 2) : s->width;
}

static int num_planes(const nvrc_sequence *s) { return s->chroma_format == 0 ? 1 : 3; }

Status nv_take_raw(nvrc_decoder *d) {
  const nvrc_sequence *s = &d->sequence;
  int64_t rows, columns, samples = 0;
  for (int p = 0; p < num_planes(s); p++) {
    plane_size(s, p, &rows, &columns);
    samples += rows * columns;
  }
  d->gop.raw = nv_take(d, SCOPE_GOP, (uint64_t)samples, s->bit_depth > 8 ? 2 : 1);
  d->gop.raw_size = (size_t)samples * (s->bit_depth > 8 ? 2 : 1);
  return d->gop.raw == NULL;
}

/* 8.3: a row of n samples as raw bytes; sample x is v[x % 2][x / 2], or v[0][x] where the plane has one subplane. */
static uint8_t *write_row(uint8_t *restrict out, const int16_t *const v[2], int64_t n, int full, int bytes) {
  const int16_t *even = v[0], *odd = v[1];
  if (full && bytes == 1) {
    for (int64_t x = 0; x < n / 2; x++) {
      out[2 * x] = (uint8_t)even[x];
      out[2 * x + 1] = (uint8_t)odd[x];
    }
    if (n % 2) out[n - 1] = (uint8_t)even[n / 2];
    return out + n;
  }
  for (int64_t x = 0; x < n; x++) {
    int16_t value = full ? v[x & 1][x >> 1] : even[x];
    *out++ = (uint8_t)(value & 255);
    if (bytes == 2) *out++ = (uint8_t)(value >> 8);
  }
  return out;
}

/* 8.1 to 8.3: the raw bytes of the frame, which the digest takes in. */
void nv_reconstruct(nvrc_decoder *d) {
  const nvrc_sequence *s = &d->sequence;
  const Array *subplanes = &d->gop.act.subplanes;
  uint8_t *out = d->gop.raw;
  int first = 0; /* subplane of the plane */
  for (int p = 0; p < num_planes(s); p++) {
    int64_t rows, columns;
    int full = p == 0 || s->chroma_format == 2;
    plane_size(s, p, &rows, &columns);
    for (int64_t y = 0; y < rows; y++) {
      int upper = full ? first + 2 * (int)(y & 1) : first;
      int64_t row = full ? y >> 1 : y;
      const int16_t *v[2] = {nv_row(subplanes, upper, row), nv_row(subplanes, full ? upper + 1 : upper, row)};
      out = write_row(out, v, columns, full, s->bit_depth > 8 ? 2 : 1);
    }
    first += full ? 4 : 1;
  }
  nv_sha256_update(&d->gop.sha, d->gop.raw, d->gop.raw_size);
}

/* 3.5: DIGEST */
Status nv_read_digest(Reader *r, const uint8_t **digest) {
  TRY(nv_bytes(r, 16, digest));
  return nv_payload_end(r);
}

/* 8.3: after the frames of a GOP. Where only a part of them was decoded, the value is not checked. */
Status nv_check_digest(Reader *r) {
  uint8_t expected[32];
  const uint8_t *digest;
  uint64_t offset = r->pos;
  TRY(nv_read_digest(r, &digest));
  nv_observe_synthesis(r->d);
  nv_sha256_final(&r->d->gop.sha, expected);
  return !r->d->gop.whole || memcmp(digest, expected, 16) == 0 ? 0 : nv_fail(r->d, offset, R8_1);
}
