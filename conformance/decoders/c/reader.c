/* 1.4: descriptors; and the checks that every element gets. */
#include "internal.h"

/* R2.6 within a payload, R2.3 outside. */
static Status ends_early(const Reader *r) { return nv_fail(r->d, r->pos, r->in_payload ? R2_6 : R2_3); }

/* bytes(n): *bytes points to them. */
Status nv_bytes(Reader *r, uint64_t count, const uint8_t **bytes) {
  if (r->end - r->pos < count) return ends_early(r);
  *bytes = r->bytes + (r->pos - r->base);
  r->pos += count;
  return 0;
}

/* u8, u16, u24, u32, u64 */
Status nv_uint(Reader *r, int bytes, uint64_t *value) {
  const uint8_t *b = NULL;
  TRY(nv_bytes(r, (uint64_t)bytes, &b));
  *value = 0;
  for (int i = 0; i < bytes; i++) *value |= (uint64_t)b[i] << (8 * i);
  return 0;
}

Status nv_leb128(Reader *r, uint64_t *value) {
  uint64_t start = r->pos, byte;
  *value = 0;
  for (int i = 0; i < 9; i++) {
    TRY(nv_uint(r, 1, &byte));
    *value |= (byte & 127) << (7 * i);
    if (byte < 128) return byte == 0 && i > 0 ? nv_fail(r->d, start, R1_2) : 0;
  }
  return nv_fail(r->d, start, R1_1);
}

/* An element of `bytes` bytes, or a leb128 where bytes is 0, that must lie in lo..hi. */
Status nv_element(Reader *r, int bytes, uint64_t lo, uint64_t hi, Requirement requirement, uint64_t *value) {
  uint64_t start = r->pos;
  TRY(bytes == 0 ? nv_leb128(r, value) : nv_uint(r, bytes, value));
  return *value >= lo && *value <= hi ? 0 : nv_fail(r->d, start, requirement);
}

/* A length, and as many bytes: the payload of a layer or a grid. */
Status nv_payload(Reader *r, Requirement multiple_of_4, Payload *payload) {
  TRY(nv_leb128(r, &payload->size));
  TRY(nv_require(r, payload->size % 4 == 0, multiple_of_4));
  payload->offset = r->pos;
  return nv_bytes(r, payload->size, &payload->bytes);
}

/* A requirement on the element that was just read. */
Status nv_require(const Reader *r, int condition, Requirement requirement) {
  return condition ? 0 : nv_fail(r->d, r->pos - 1, requirement);
}

Status nv_payload_end(const Reader *r) { return r->pos == r->end ? 0 : nv_fail(r->d, r->pos, R2_7); }
