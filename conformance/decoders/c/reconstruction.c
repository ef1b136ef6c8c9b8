/* Chapter 8: from subplanes to planes, and the digest. */
#include "internal.h"

/* Memory for the arrays of synthesis: each as large as the largest stage needs it. */
Status nv_take_activations(nvrc_decoder *d) {
  const Network *n = &d->network;
  Activations *act = &d->gop.act;
  uint64_t stage = 0, injected = 0;
  int64_t rows = nv_ceil_div(d->sequence.height, 2), columns = nv_ceil_div(d->sequence.width, 2);
  int widest = 4 * n->stage_channels[4];
  for (int k = 0; k < NUM_STAGES; k++) {
    uint64_t size = (uint64_t)nv_ceil_div(d->sequence.height, nv_stage_stride(k)) *
                    (uint64_t)nv_ceil_div(d->sequence.width, nv_stage_stride(k));
    if (size * (uint64_t)n->stage_channels[k] > stage) stage = size * (uint64_t)n->stage_channels[k];
    if (size * (uint64_t)n->injected[k] > injected) injected = size * (uint64_t)n->injected[k];
    if (n->stage_channels[k] > widest) widest = n->stage_channels[k];
  }
  if (!(act->g.v = nv_take(d, SCOPE_GOP, injected, sizeof *act->g.v))) return 1;
  for (int i = 0; i < 2; i++)
    if (!(act->a[i].v = nv_take(d, SCOPE_GOP, stage, sizeof *act->a[i].v))) return 1;
  for (int i = 0; i < 3; i++)
    if (!(act->injection[i].v = nv_take(d, SCOPE_GOP, stage, sizeof *act->injection[i].v))) return 1;
  if (!(act->sums = nv_take(d, SCOPE_GOP, (uint64_t)columns, sizeof *act->sums))) return 1;
  TRY(nv_take_array(d, &act->h, widest, 1, columns));
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

/* 8.1: the sample of a plane whose first subplane is v. */
static int16_t sample(const Array *subplanes, int v, int full, int y, int x) {
  if (!full) return nv_row(subplanes, v, y)[x];
  return nv_row(subplanes, v + 2 * (y & 1) + (x & 1), y >> 1)[x >> 1];
}

/* 8.1 to 8.3: the raw bytes of the frame, which the digest takes in. */
void nv_reconstruct(nvrc_decoder *d) {
  const nvrc_sequence *s = &d->sequence;
  uint8_t *out = d->gop.raw;
  int v = 0;
  for (int p = 0; p < num_planes(s); p++) {
    int64_t rows, columns;
    int full = p == 0 || s->chroma_format == 2;
    plane_size(s, p, &rows, &columns);
    for (int y = 0; y < rows; y++)
      for (int x = 0; x < columns; x++) {
        int16_t value = sample(&d->gop.act.subplanes, v, full, y, x);
        *out++ = (uint8_t)(value & 255);
        if (s->bit_depth > 8) *out++ = (uint8_t)(value >> 8);
      }
    v += full ? 4 : 1;
  }
  nv_sha256_update(&d->gop.sha, d->gop.raw, d->gop.raw_size);
}

/* 3.5, 8.3: DIGEST */
Status nv_check_digest(Reader *r) {
  uint8_t digest[32];
  r->section = "3.5";
  if (r->end - r->pos < 16)
    return nv_fail(r->d, "E_LENGTH", r->pos, "2.3", "R2.6", "every syntax element of a payload lies inside it");
  nv_sha256_final(&r->d->gop.sha, digest);
  if (memcmp(r->d->data + r->pos, digest, 16) != 0)
    return nv_fail(r->d, "E_DIGEST", r->pos, "8.3", "R8.1", "digest is the SHA-256 of the frames of the GOP before it");
  r->pos += 16;
  return nv_payload_end(r);
}
