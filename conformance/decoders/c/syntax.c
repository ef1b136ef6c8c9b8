/* Chapter 3: SEQUENCE, METADATA, INDEX and END. NETWORK and GOP have files of their own; DIGEST is in reconstruction.c.
 */
#include "internal.h"

enum { LEB128 = 0, U8 = 1 };

static Status profile_and_level(Reader *r) {
  nvrc_sequence *s = &r->d->sequence;
  uint64_t v;
  TRY(nv_uint(r, U8, &v));
  TRY(nv_require(r, v <= 2, "E_UNSUPPORTED", "R3.10", "profile is in the range 0..2"));
  s->profile = (int)v;
  TRY(nv_element(r, U8, 0, 6, "R3.11", "level is in the range 0..6", &v));
  s->level = (int)v;
  r->d->profile = &nv_profiles[s->profile];
  TRY(nv_check_sequence_limits(r->d, r));
  return nv_payload_end(r);
}

/* 3.2 */
Status nv_read_sequence(Reader *r) {
  nvrc_sequence *s = &r->d->sequence;
  uint64_t v;
  r->section = "3.2";
  TRY(nv_element(r, LEB128, 1, 65535, "R3.1", "width is in the range 1..65535", &v));
  s->width = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 65535, "R3.2", "height is in the range 1..65535", &v));
  s->height = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 2147483647, "R3.3", "rate_numerator is in the range 1..2147483647", &v));
  s->rate_numerator = (uint32_t)v;
  TRY(nv_element(r, LEB128, 1, 2147483647, "R3.4", "rate_denominator is in the range 1..2147483647", &v));
  s->rate_denominator = (uint32_t)v;
  TRY(nv_element(r, U8, 0, 2, "R3.5", "chroma_format is in the range 0..2", &v));
  s->chroma_format = (int)v;
  TRY(nv_element(r, U8, 8, 10, "R3.6", "bit_depth is 8 or 10", &v));
  TRY(nv_require(r, v != 9, "E_RANGE", "R3.6", "bit_depth is 8 or 10"));
  s->bit_depth = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->colour_primaries = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->transfer_characteristics = (int)v;
  TRY(nv_uint(r, U8, &v));
  s->matrix_coefficients = (int)v;
  TRY(nv_uint(r, U8, &v));
  TRY(nv_require(r, v <= 1, "E_RESERVED", "R3.7", "reserved bits 1 to 7 of colour_flags are 0"));
  s->full_range = (int)v;
  TRY(nv_element(r, U8, 0, 3, "R3.8", "chroma_sample_position is in the range 0..3", &v));
  TRY(nv_require(r, v == 0 || s->chroma_format == 1, "E_RANGE", "R3.9",
                 "chroma_sample_position is 0 where chroma_format is not 1"));
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
Status nv_read_metadata(Reader *r) {
  uint64_t length;
  r->section = "3.6";
  TRY(nv_element(r, LEB128, 1, 255, "R3.33", "key_length is in the range 1..255", &length));
  if (r->end - r->pos < length)
    return nv_fail(r->d, "E_LENGTH", r->pos, "2.3", "R2.6", "every syntax element of a payload lies inside it");
  if (!is_utf8(r->d->data + r->pos, length))
    return nv_fail(r->d, "E_UTF8", r->pos, "3.6", "R3.34", "key is well-formed UTF-8");
  return 0;
}

typedef struct {
  uint64_t offset, first_frame, network_offset;
} IndexEntry;

/* R2.15: walks over the units again, from *pos to the next GOP, and says what its entry should be. All of these units
 * have been read before, so nothing here fails where there is another GOP. */
static Status next_gop(nvrc_decoder *d, uint64_t *pos, IndexEntry *expected, uint64_t *frames) {
  Unit unit;
  expected->first_frame += *frames;
  for (;;) {
    TRY(nv_find_unit(d, *pos, &unit));
    *pos = unit.end + 4;
    if (unit.type == 0x02) expected->network_offset = unit.offset;
    if (unit.type == 0x03) break;
  }
  expected->offset = unit.offset;
  Reader r = {d, unit.payload, unit.end, 1, "3.4"};
  return nv_leb128(&r, frames);
}

static Status index_rule(Reader *r, int condition, const char *section, const char *requirement, const char *sentence) {
  return condition ? 0 : nv_fail(r->d, "E_INDEX", r->pos, section, requirement, sentence);
}

/* 3.7 */
Status nv_read_index(Reader *r) {
  nvrc_decoder *d = r->d;
  IndexEntry expected = {0, 0, 0}, before = {0, 0, 0}, e;
  uint64_t count, pos = d->units_start, frames = 0;
  r->section = "3.7";
  TRY(nv_leb128(r, &count));
  TRY(index_rule(r, count != 0, "3.7", "R3.35", "gop_count is not 0"));
  TRY(index_rule(r, count == d->unit_count[0x03], "2.7", "R2.15", "INDEX has one entry for each GOP"));
  for (uint64_t i = 0; i < count; i++) {
    TRY(nv_leb128(r, &e.offset));
    TRY(nv_leb128(r, &e.first_frame));
    TRY(nv_leb128(r, &e.network_offset));
    int rises = i == 0 ? e.first_frame == 0
                       : e.offset > before.offset && e.first_frame > before.first_frame &&
                             e.network_offset >= before.network_offset;
    TRY(index_rule(r, rises && e.network_offset < e.offset, "3.7", "R3.36", "the entries of INDEX follow each other"));
    TRY(next_gop(d, &pos, &expected, &frames));
    int same = e.offset == expected.offset && e.first_frame == expected.first_frame &&
               e.network_offset == expected.network_offset;
    TRY(index_rule(r, same, "2.7", "R2.15",
                   "each entry of INDEX holds the offset of its GOP, the frames before it and its NETWORK"));
    before = e;
  }
  return nv_payload_end(r);
}

/* 3.8 */
Status nv_read_end(Reader *r) {
  uint64_t frame_count, gop_count;
  r->section = "3.8";
  TRY(nv_leb128(r, &frame_count));
  TRY(nv_leb128(r, &gop_count));
  if (frame_count != r->d->frames || gop_count != r->d->unit_count[0x03])
    return nv_fail(r->d, "E_TOTALS", r->d->unit.payload, "2.6", "R2.13", "END has the number of frames and of GOPs");
  return nv_payload_end(r);
}
