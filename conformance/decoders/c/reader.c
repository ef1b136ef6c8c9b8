/* 1.4: descriptors; and the checks that every element gets. */
#include "internal.h"

/* R2.6 within a payload, R2.3 outside. */
static Status ends_early(const Reader *r) {
  if (r->in_payload)
    return nv_fail(r->d, "E_LENGTH", r->pos, "2.3", "R2.6", "every syntax element of a payload lies inside it");
  return nv_fail(r->d, "E_TRUNCATED", r->pos, "2.3", "R2.3", "the stream does not end before it is complete");
}

/* u8, u16, u24, u32, u64 */
Status nv_uint(Reader *r, int bytes, uint64_t *value) {
  if (r->end - r->pos < (uint64_t)bytes) return ends_early(r);
  *value = 0;
  for (int i = 0; i < bytes; i++) *value |= (uint64_t)r->d->data[r->pos++] << (8 * i);
  return 0;
}

Status nv_leb128(Reader *r, uint64_t *value) {
  uint64_t start = r->pos;
  *value = 0;
  for (int i = 0; i < 9; i++) {
    if (r->pos == r->end) return ends_early(r);
    uint8_t byte = r->d->data[r->pos++];
    *value |= (uint64_t)(byte & 127) << (7 * i);
    if (byte < 128) {
      if (byte == 0 && i > 0)
        return nv_fail(r->d, "E_LEB128", start, "1.4", "R1.2", "a leb128 is as short as its value allows");
      return 0;
    }
  }
  return nv_fail(r->d, "E_LEB128", start, "1.4", "R1.1", "a leb128 ends within 9 bytes");
}

/* An element of `bytes` bytes, or a leb128 where bytes is 0, that must lie in lo..hi. */
Status nv_element(Reader *r, int bytes, uint64_t lo, uint64_t hi, const char *requirement, const char *sentence,
                  uint64_t *value) {
  uint64_t start = r->pos;
  TRY(bytes == 0 ? nv_leb128(r, value) : nv_uint(r, bytes, value));
  if (*value >= lo && *value <= hi) return 0;
  return nv_fail(r->d, "E_RANGE", start, r->section, requirement, sentence);
}

/* A requirement on the element that was just read. */
Status nv_require(Reader *r, int condition, const char *code, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(r->d, code, r->pos - 1, r->section, requirement, sentence);
}

Status nv_payload_end(Reader *r) {
  if (r->pos == r->end) return 0;
  return nv_fail(r->d, "E_LENGTH", r->pos, "2.3", "R2.7", "a payload ends with its last syntax element");
}
