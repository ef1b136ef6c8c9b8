/* What JavaScript calls. A module has one decoder at a time and reads its stream through `nvrc.read`, which JavaScript
 * gives; addresses and sizes are numbers, and offsets are doubles, which are exact below 2^53. */
#include <string.h>

#include "nvrc.h"

#define EXPORT(name) __attribute__((export_name(name)))

__attribute__((import_module("nvrc"), import_name("read"))) int wasm_read(double offset, void *to, size_t count);

static nvrc_decoder *decoder;
static nvrc_error error;
static nvrc_frame frame;
static nvrc_metadata entry;

static int read_source(void *user, uint64_t offset, void *to, size_t count) {
  (void)user;
  return wasm_read((double)offset, to, count);
}

EXPORT("wasm_close") void wasm_close(void) {
  if (decoder) nvrc_close(decoder);
  decoder = NULL;
}

/* Opens a stream of `size` bytes in place of the one before. All functions with a status return an nvrc_status: 0 where
 * there is a result, 1 at the end, 2 after an error. */
EXPORT("wasm_open") int wasm_open(double size, double memory_bytes) {
  const nvrc_source source = {read_source, NULL, (uint64_t)size};
  nvrc_options options = nvrc_default_options();
  wasm_close();
  options.limits.memory_bytes = (uint64_t)memory_bytes;
  decoder = nvrc_open(&source, &options, &error);
  memset(&entry, 0, sizeof entry);
  return decoder ? NVRC_OK : NVRC_ERROR;
}

/* nvrc_sequence: thirteen words of 32 bits */
EXPORT("wasm_sequence") const nvrc_sequence *wasm_sequence(void) { return nvrc_get_sequence(decoder); }

/* The numbers of frames and of GOPs: two doubles */
EXPORT("wasm_count") int wasm_count(double out[2]) {
  uint64_t frames = 0, gops = 0;
  nvrc_status status = nvrc_count(decoder, &frames, &gops, &error);
  out[0] = (double)frames;
  out[1] = (double)gops;
  return status;
}

/* The offset and the first frame of a GOP: two doubles */
EXPORT("wasm_gop") int wasm_gop(double gop, double out[2]) {
  uint64_t offset = 0, first_frame = 0;
  nvrc_status status = nvrc_get_gop(decoder, (uint64_t)gop, &offset, &first_frame, &error);
  out[0] = (double)offset;
  out[1] = (double)first_frame;
  return status;
}

EXPORT("wasm_seek") int wasm_seek(double index) { return nvrc_seek(decoder, (uint64_t)index, &error); }

EXPORT("wasm_decode") int wasm_decode(void) { return nvrc_decode(decoder, &frame, &error); }

EXPORT("wasm_frame") const uint8_t *wasm_frame(void) { return frame.bytes; }

EXPORT("wasm_frame_size") size_t wasm_frame_size(void) { return frame.size; }

EXPORT("wasm_frame_index") double wasm_frame_index(void) { return (double)frame.index; }

/* Goes on to the next entry of METADATA. Addresses and sizes of key and value, and the number of frames before the
 * entry: five doubles. */
EXPORT("wasm_metadata") int wasm_metadata(double out[5]) {
  nvrc_status status = nvrc_next_metadata(decoder, NULL, &entry, &error);
  out[0] = (double)(uintptr_t)entry.key;
  out[1] = (double)entry.key_size;
  out[2] = (double)(uintptr_t)entry.value;
  out[3] = (double)entry.value_size;
  out[4] = (double)entry.first_frame;
  return status;
}

/* The last error: its kind, its offset, the number of the unit, and the addresses of code, unit, requirement, section
 * and sentence, which end in a 0: eight doubles. */
EXPORT("wasm_error") void wasm_error(double out[8]) {
  out[0] = (double)error.kind;
  out[1] = (double)error.offset;
  out[2] = (double)error.unit_number;
  out[3] = (double)(uintptr_t)error.code;
  out[4] = (double)(uintptr_t)error.unit;
  out[5] = (double)(uintptr_t)error.requirement;
  out[6] = (double)(uintptr_t)error.section;
  out[7] = (double)(uintptr_t)error.sentence;
}

/* A place for what the functions above write: 16 doubles */
EXPORT("wasm_scratch") double *wasm_scratch(void) {
  static double scratch[16];
  return scratch;
}
