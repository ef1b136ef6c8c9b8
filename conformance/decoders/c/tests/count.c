/* count STREAM: decodes a stream up to its error, counts its GOPs, and asks for a frame again, which must give the same
 * error. The exit code is the number of the check that failed. */
#include <stdio.h>
#include <string.h>

#include "nvrc.h"

int main(int argc, char **argv) {
  static uint8_t data[1 << 16];
  FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
  size_t size = file ? fread(data, 1, sizeof data, file) : 0;
  nvrc_error error, other;
  nvrc_frame frame;
  nvrc_status status = NVRC_OK;
  uint64_t frames, gops;
  nvrc_decoder *decoder = nvrc_open_memory(data, size, NULL, &error);
  if (!decoder) return 1;
  while (status == NVRC_OK) status = nvrc_decode(decoder, &frame, &error);
  if (status != NVRC_ERROR) return 2;
  if (nvrc_count(decoder, &frames, &gops, &other) != NVRC_OK || gops == 0) return 3;
  if (nvrc_decode(decoder, &frame, &other) != NVRC_ERROR) return 4;
  if (strcmp(other.code, error.code) != 0 || other.offset != error.offset) return 5;
  nvrc_close(decoder);
  return 0;
}
