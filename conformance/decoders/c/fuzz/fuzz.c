#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PROMISE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                        \
    }                                                                 \
  } while (0)

enum { MAX_FRAMES = 4096 };

static long live;

static void *allocate(void *user, size_t size) {
  (void)user;
  live++;
  return malloc(size);
}

static void release(void *user, void *memory) {
  (void)user;
  live--;
  free(memory);
}

size_t fuzz_units(const uint8_t *data, size_t size, FuzzUnit *unit, size_t most) {
  size_t count = 0, at = 10;
  while (count < most && at < size) {
    uint64_t length = 0;
    size_t payload = at + 1;
    for (int shift = 0; payload < size && shift < 63; shift += 7) {
      length |= (uint64_t)(data[payload] & 127) << shift;
      if (data[payload++] < 128) break;
    }
    if (size - payload < 4 || size - payload - 4 < length) break;
    unit[count++] = (FuzzUnit){at, payload, payload + (size_t)length};
    at = payload + (size_t)length + 4;
  }
  return count;
}

void fuzz_repair(uint8_t *data, size_t size) {
  FuzzUnit unit[256];
  size_t count = fuzz_units(data, size, unit, 256);
  for (size_t i = 0; i < count; i++) {
    uint32_t crc = nv_crc32(data + unit[i].first, unit[i].crc - unit[i].first);
    for (int k = 0; k < 4; k++) data[unit[i].crc + (size_t)k] = (uint8_t)(crc >> (8 * k));
  }
}

static nvrc_options small_options(void) {
  nvrc_options options = nvrc_default_options();
  options.allocator = (nvrc_allocator){allocate, release, NULL};
  options.limits.width = options.limits.height = 1024;
  options.limits.pixels = 1 << 14;
  options.limits.gop_frames = 64;
  options.limits.gop_symbols = 1 << 18;
  options.limits.gops = 64;
  options.limits.unit_bytes = 1 << 20;
  options.limits.network_parameters = 1 << 16;
  options.limits.memory_bytes = 64 << 20;
  return options;
}

static void check_error(const nvrc_error *e) {
  PROMISE(e->kind == NVRC_INVALID || e->kind == NVRC_UNSUPPORTED || e->kind == NVRC_LIMIT);
  PROMISE(e->code && strncmp(e->code, "E_", 2) == 0);
  PROMISE(e->unit && e->requirement && e->section && e->sentence);
}

/* FNV-1a */
static uint64_t hash(const nvrc_frame *frame) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < frame->size; i++) h = (h ^ frame->bytes[i]) * 1099511628211u;
  return h;
}

/* The frames of an accepted stream, from the last to the first but in steps */
static void check_seeks(nvrc_decoder *decoder, const uint64_t *expected, uint64_t frames) {
  nvrc_error error;
  nvrc_frame frame;
  uint64_t count, gops;
  if (nvrc_count(decoder, &count, &gops, &error) == NVRC_ERROR) PROMISE(0);
  PROMISE(count == frames);
  for (uint64_t i = frames; i > 0; i = i > 5 ? i - 5 : 0) {
    PROMISE(nvrc_seek(decoder, i - 1, &error) == NVRC_OK);
    PROMISE(nvrc_decode(decoder, &frame, &error) == NVRC_OK);
    PROMISE(frame.index == i - 1);
    if (i - 1 < MAX_FRAMES) PROMISE(hash(&frame) == expected[i - 1]);
  }
}

static nvrc_status decode_all(nvrc_decoder *decoder, nvrc_error *error) {
  static uint64_t expected[MAX_FRAMES];
  nvrc_frame frame;
  nvrc_status status;
  nvrc_error later;
  uint64_t frames = 0;
  while ((status = nvrc_decode(decoder, &frame, error)) == NVRC_OK) {
    PROMISE(frame.index == frames);
    if (frames < MAX_FRAMES) expected[frames] = hash(&frame);
    frames++;
  }
  if (status == NVRC_END) {
    check_seeks(decoder, expected, frames);
    return status;
  }
  check_error(error);
  PROMISE(nvrc_decode(decoder, &frame, &later) == NVRC_ERROR && strcmp(later.code, error->code) == 0);
  status = nvrc_seek(decoder, frames / 2, &later);
  if (status == NVRC_OK) status = nvrc_decode(decoder, &frame, &later);
  if (status == NVRC_OK && frames > 0)
    PROMISE(hash(&frame) == expected[frames / 2 % MAX_FRAMES] || frames > MAX_FRAMES);
  if (status == NVRC_ERROR) check_error(&later);
  return NVRC_ERROR;
}

const char *fuzz_decode(const uint8_t *data, size_t size) {
  nvrc_options options = small_options();
  nvrc_error error;
  nvrc_metadata entry = {0};
  nvrc_status status = NVRC_ERROR;
  nvrc_decoder *decoder = nvrc_open_memory(data, size, &options, &error);
  if (decoder) {
    for (int i = 0; i < 16 && nvrc_next_metadata(decoder, NULL, &entry, &error) == NVRC_OK; i++) continue;
    status = decode_all(decoder, &error);
    nvrc_close(decoder);
  } else {
    check_error(&error);
  }
  PROMISE(live == 0);
  return status == NVRC_END ? NULL : error.code;
}
