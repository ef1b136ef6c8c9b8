/* seek STREAM [FROM TO]: seeks in a stream and compares each frame with that of decoding in order. The exit code is the
 * line of the check that failed, modulo 256. FROM and TO: bytes that a seek to the last frame must not read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvrc.h"

#define CHECK(condition)                                      \
  do {                                                        \
    if (!(condition)) {                                       \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      exit(__LINE__ % 255 + 1);                               \
    }                                                         \
  } while (0)

enum { MAX_BYTES = 1 << 20, MAX_FRAMES = 4096, BUDGET = 1 << 20 };

static uint8_t data[MAX_BYTES];
static size_t size;
static uint64_t expected[MAX_FRAMES], frames;
static size_t frame_size;

/* The source: reads_left counts down to a read that fails; a negative one never does. */
static long reads_left;
static uint64_t forbidden_from, forbidden_to;

static int read_data(void *user, uint64_t offset, void *to, size_t count) {
  (void)user;
  CHECK(offset <= size && count <= size - offset);
  CHECK(offset >= forbidden_to || offset + count <= forbidden_from);
  if (reads_left == 0) return 1;
  if (reads_left > 0) reads_left--;
  memcpy(to, data + offset, count);
  return 0;
}

static nvrc_decoder *open_source(nvrc_error *error) {
  const nvrc_source source = {read_data, NULL, size};
  return nvrc_open(&source, NULL, error);
}

/* FNV-1a */
static uint64_t hash(const nvrc_frame *frame) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < frame->size; i++) h = (h ^ frame->bytes[i]) * 1099511628211u;
  return h;
}

static uint32_t random_below(uint32_t n) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33) % n;
}

static void decode_in_order(void) {
  nvrc_error error;
  nvrc_frame frame;
  nvrc_status status;
  nvrc_decoder *decoder = nvrc_open_memory(data, size, NULL, &error);
  CHECK(decoder);
  while ((status = nvrc_decode(decoder, &frame, &error)) == NVRC_OK) {
    CHECK(frames < MAX_FRAMES && frame.index == frames);
    expected[frames++] = hash(&frame);
    frame_size = frame.size;
  }
  CHECK(status == NVRC_END && frames > 0);
  nvrc_close(decoder);
}

static void check_frame(nvrc_decoder *decoder, uint64_t index) {
  nvrc_error error;
  nvrc_frame frame;
  CHECK(nvrc_decode(decoder, &frame, &error) == NVRC_OK);
  CHECK(frame.index == index);
  CHECK(hash(&frame) == expected[index]);
}

static void check_alone(uint64_t index) {
  nvrc_error error;
  nvrc_decoder *decoder = open_source(&error);
  CHECK(decoder && nvrc_seek(decoder, index, &error) == NVRC_OK);
  check_frame(decoder, index);
  nvrc_close(decoder);
}

/* How often a check is done: less often where frames are large. */
static uint64_t times(uint64_t most) {
  uint64_t n = BUDGET / frame_size;
  return n < 4 ? 4 : n < most ? n : most;
}

/* From each place one to four frames. */
static void check_at_random(uint64_t seeks) {
  nvrc_error error;
  nvrc_frame frame;
  uint64_t count, gops;
  nvrc_metadata entry = {0};
  nvrc_decoder *decoder = open_source(&error);
  CHECK(decoder);
  for (uint64_t i = 0; i < seeks; i++) {
    uint64_t index = random_below((uint32_t)frames);
    uint64_t run = 1 + random_below(4);
    CHECK(nvrc_seek(decoder, index, &error) == NVRC_OK);
    for (; run > 0 && index < frames; run--, index++) check_frame(decoder, index);
    if (index == frames) CHECK(nvrc_decode(decoder, &frame, &error) == NVRC_END);
    CHECK(nvrc_next_metadata(decoder, NULL, &entry, &error) != NVRC_ERROR);
  }
  CHECK(nvrc_count(decoder, &count, &gops, &error) == NVRC_OK && count == frames);
  CHECK(nvrc_seek(decoder, frames, &error) == NVRC_END);
  CHECK(nvrc_decode(decoder, &frame, &error) == NVRC_END);
  CHECK(nvrc_seek(decoder, UINT64_MAX, &error) == NVRC_END);
  nvrc_close(decoder);
}

static uint64_t stages;

static void take_stage(void *user, const char *path, const char *digest) {
  (void)user;
  if (!strstr(path, ".synthesis.")) return;
  for (const char *c = path; *c; c++) stages = (stages ^ (uint8_t)*c) * 1099511628211u;
  for (const char *c = digest; *c; c++) stages = (stages ^ (uint8_t)*c) * 1099511628211u;
}

/* The stages of the first GOP, which a seek may begin anew after its first frame. */
static uint64_t first_stages(int again) {
  nvrc_error error;
  nvrc_frame frame;
  nvrc_options options = nvrc_default_options();
  uint64_t offset, end;
  options.observer.stage = take_stage;
  nvrc_decoder *decoder = nvrc_open_memory(data, size, &options, &error);
  CHECK(decoder);
  if (nvrc_get_gop(decoder, 1, &offset, &end, &error) != NVRC_OK) end = frames;
  if (again) {
    CHECK(nvrc_decode(decoder, &frame, &error) == NVRC_OK);
    CHECK(nvrc_seek(decoder, 0, &error) == NVRC_OK);
  }
  stages = 0;
  for (uint64_t i = 0; i <= end; i++) CHECK(nvrc_decode(decoder, &frame, &error) != NVRC_ERROR);
  nvrc_close(decoder);
  CHECK(stages != 0);
  return stages;
}

/* Read number n fails, in opening, seeking or decoding on; then the source works again. */
static int check_failure(long n) {
  nvrc_error error = {0};
  nvrc_frame frame;
  nvrc_status status;
  uint64_t index = random_below((uint32_t)frames);
  reads_left = n;
  nvrc_decoder *decoder = open_source(&error);
  if (!decoder) {
    CHECK(error.kind == NVRC_IO && strcmp(error.code, "E_READ") == 0);
    reads_left = -1;
    return 1;
  }
  status = nvrc_seek(decoder, index, &error);
  for (int run = 0; run < 3 && status == NVRC_OK; run++) status = nvrc_decode(decoder, &frame, &error);
  if (status == NVRC_ERROR) CHECK(error.kind == NVRC_IO && strcmp(error.code, "E_READ") == 0);
  if (status == NVRC_ERROR) CHECK(nvrc_decode(decoder, &frame, &error) == NVRC_ERROR);
  reads_left = -1;
  CHECK(nvrc_seek(decoder, index, &error) == NVRC_OK);
  check_frame(decoder, index);
  nvrc_close(decoder);
  return status == NVRC_ERROR;
}

int main(int argc, char **argv) {
  FILE *file = argc >= 2 ? fopen(argv[1], "rb") : NULL;
  CHECK(file);
  size = fread(data, 1, sizeof data, file);
  CHECK(size > 0 && size < sizeof data);
  reads_left = -1;
  decode_in_order();
  if (argc == 4) {
    forbidden_from = strtoull(argv[2], NULL, 10);
    forbidden_to = strtoull(argv[3], NULL, 10);
    check_alone(frames - 1);
    return 0;
  }
  const uint64_t alone = times(frames);
  for (uint64_t i = 0; i < alone && i < frames; i++) check_alone(frames - 1 - i * frames / alone);
  check_at_random(times(40));
  CHECK(first_stages(1) == first_stages(0));
  long failed = 0, tried = (long)times(60);
  for (long n = 0; n < tried; n++) failed += check_failure(n);
  CHECK(failed >= 4);
  return 0;
}
