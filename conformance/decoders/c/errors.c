/* 9.1, 9.2: errors. */
#include "internal.h"

typedef struct {
  const char *number, *section, *code, *sentence;
} Row;

#define ROW(name, number, section, code, sentence) {number, section, code, sentence},
static const Row rows[] = {NVRC_REQUIREMENTS(ROW)};

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

static Status record(nvrc_decoder *d, nvrc_kind kind, uint64_t offset, const Row *row) {
  nvrc_error *e = &d->error;
  e->kind = kind;
  e->code = row->code;
  e->offset = offset;
  e->unit = unit_name(d->at.unit.type);
  e->unit_number = d->at.unit_count[d->at.unit.type];
  e->requirement = row->number;
  e->section = row->section;
  e->sentence = row->sentence;
  d->failed = 1;
  return 1;
}

/* The stream breaks a requirement. */
Status nv_fail(nvrc_decoder *d, uint64_t offset, Requirement requirement) {
  int unsupported = requirement == R2_2 || requirement == R2_5 || requirement == R3_10; /* 9.1.1 */
  return record(d, unsupported ? NVRC_UNSUPPORTED : NVRC_INVALID, offset, &rows[requirement]);
}

/* The stream is over a local limit (9.3). */
Status nv_over_limit(nvrc_decoder *d, uint64_t offset, const char *sentence) {
  Row row = {"", "9.3", "E_LIMIT", sentence};
  return record(d, NVRC_LIMIT, offset, &row);
}

/* The allocator or the source of the stream failed. */
Status nv_no_memory(nvrc_decoder *d) {
  static const Row row = {"", "9.2", "E_MEMORY", "there is enough memory"};
  return record(d, NVRC_LIMIT, d->at.unit.offset, &row);
}

Status nv_no_data(nvrc_decoder *d, uint64_t offset) {
  static const Row row = {"", "9.2", "E_READ", "the stream can be read"};
  return record(d, NVRC_IO, offset, &row);
}
