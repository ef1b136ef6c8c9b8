/* Chapter 3: SEQUENCE, METADATA, INDEX and END. NETWORK and GOP have files of their own; DIGEST is in reconstruction.c.
 */
#include "internal.h"

enum { LEB128 = 0, U8 = 1 };

static Status profile_and_level(Reader *r) {
  nvrc_sequence *s = &r->d->sequence;
  uint64_t v;
  TRY(nv_uint(r, U8, &v));
  TRY(nv_require(r, v <= 2, R3_10));
  s->profile = (int)v;
  TRY(nv_element(r, U8, 0, 6, R3_11, &v));
  s->level = (int)v;
  r->d->profile = &nv_profiles[s->profile];
  TRY(nv_check_sequence_limits(r->d, r));
  TRY(nv_payload_end(r));
  nv_observe_sequence(r->d);
  return 0;
}

/* 3.2 */
Status nv_read_sequence(Reader *r) {
  nvrc_sequence *s = &r->d->sequence;
  uint64_t v;
  TRY(nv_element(r, LEB128, 1, 65535, R3_1, &v));
  s->width = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 65535, R3_2, &v));
  s->height = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 2147483647, R3_3, &v));
  s->rate_numerator = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 2147483647, R3_4, &v));
  s->rate_denominator = (uint32_t)v;
  TRY(nv_element(r, U8, 0, 2, R3_5, &v));
  s->chroma_format = (int)v;
  TRY(nv_element(r, U8, 8, 10, R3_6, &v));
  TRY(nv_require(r, v != 9, R3_6));
  s->bit_depth = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->colour_primaries = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->transfer_characteristics = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->matrix_coefficients = (int)v;
  TRY(nv_uint(r, U8, &v));
  TRY(nv_require(r, v <= 1, R3_7));
  s->full_range = (int)v;
  TRY(nv_element(r, U8, 0, 3, R3_8, &v));
  TRY(nv_require(r, v == 0 || s->chroma_format == 1, R3_9));
  s->chroma_sample_position = (int)v;
  return profile_and_level(r);
}

/* R3.34: lengths, continuation bytes, no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static int is_utf8(const uint8_t *text, uint64_t size) {
  for (uint64_t i = 0; i < size;) {
    uint8_t first = text[i++];
    int more = first < 0x80                    ? 0
               : first >= 0xc2 && first < 0xe0 ? 1
               : first >= 0xe0 && first < 0xf0 ? 2
               : first >= 0xf0 && first < 0xf5 ? 3
                                               : -1;
    if (more < 0 || size - i < (uint64_t)more) return 0;
    uint32_t point = more == 0 ? first : first & (0x3fu >> more);
    for (int k = 0; k < more; k++, i++) {
      if ((text[i] & 0xc0) != 0x80) return 0;
      point = point << 6 | (text[i] & 0x3fu);
    }
    if ((more == 2 && point < 0x800) || (more == 3 && point < 0x10000) || point > 0x10ffff) return 0;
    if (point >= 0xd800 && point < 0xe000) return 0;
  }
  return 1;
}

/* 3.6: the entry does not affect decoding. */
Status nv_read_metadata(Reader *r, nvrc_metadata *entry) {
  uint64_t length;
  const uint8_t *key, *value;
  TRY(nv_element(r, LEB128, 1, 255, R3_33, &length));
  uint64_t offset = r->pos;
  TRY(nv_bytes(r, length, &key));
  if (!is_utf8(key, length)) return nv_fail(r->d, offset, R3_34);
  entry->key = (const char *)key;
  entry->key_size = (size_t)length;
  entry->value_size = (size_t)(r->end - r->pos);
  TRY(nv_bytes(r, r->end - r->pos, &value));
  entry->value = value;
  return 0;
}

/* 3.8: the elements of END. */
Status nv_read_totals(Reader *r, uint64_t *frames, uint64_t *gops) {
  TRY(nv_leb128(r, frames));
  TRY(nv_leb128(r, gops));
  return nv_payload_end(r);
}

/* 3.8, R2.13: END, after all GOPs. */
Status nv_read_end(Reader *r) {
  nvrc_decoder *d = r->d;
  uint64_t frames, gops, offset = r->pos;
  TRY(nv_read_totals(r, &frames, &gops));
  return frames == d->at.frames && gops == d->at.unit_count[0x03] ? 0 : nv_fail(d, offset, R2_13);
}
