/* allocator STREAM: decodes a stream with an allocator that has memory for n allocations, for n = 0, 1, ... until it is
 * enough; then with little memory allowed by a limit. The exit code is the number of the check that failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nvrc.h"

static int live, left;

static void *allocate(void *user, size_t size) {
  (void)user;
  if (left-- == 0) return NULL;
  live++;
  return malloc(size);
}

static void release(void *user, void *memory) {
  (void)user;
  live--;
  free(memory);
}

static nvrc_status decode(const uint8_t *data, size_t size, const nvrc_limits *limits, nvrc_error *error) {
  nvrc_options options = nvrc_default_options();
  options.allocator = (nvrc_allocator){allocate, release, NULL};
  if (limits) options.limits = *limits;
  nvrc_frame frame;
  nvrc_status status = NVRC_OK;
  nvrc_decoder *decoder = nvrc_open_memory(data, size, &options, error);
  if (!decoder) return NVRC_ERROR;
  while (status == NVRC_OK) status = nvrc_decode(decoder, &frame, error);
  nvrc_close(decoder);
  return status;
}

int main(int argc, char **argv) {
  static uint8_t data[1 << 16];
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  size_t size = file ? fread(data, 1, sizeof data, file) : 0;
  nvrc_limits limits = nvrc_default_options().limits;
  nvrc_error error;
  int n = 0;
  for (;; n++) {
    left = n;
    nvrc_status status = decode(data, size, NULL, &error);
    if (live != 0) return 1;
    if (status == NVRC_END) break;
    if (strcmp(error.code, "E_MEMORY") != 0 || error.kind != NVRC_LIMIT) return 2;
  }
  if (n < 10) return 3;
  left = -1;
  limits.memory_bytes = 4000;
  if (decode(data, size, &limits, &error) != NVRC_ERROR || strcmp(error.code, "E_LIMIT") != 0) return 4;
  return live == 0 ? 0 : 5;
}
