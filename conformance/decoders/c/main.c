/* nvrc-c INPUT -o OUTPUT.yuv: decodes a stream to raw planar frames. */
#define _POSIX_C_SOURCE 200112L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nvrc.h"

/* 9.1 */
enum { EXIT_USAGE = 2, EXIT_NO_INPUT = 66, EXIT_IO = 74, EXIT_LIMIT = 77 };

static int complain(int code, const char *what, const char *path) {
  fprintf(stderr, "error: %s: %s\n", path, what);
  return code;
}

/* Reads a whole file, and leaves it in *data for the caller to free. */
static int read_file(const char *path, uint8_t **data, size_t *size) {
  size_t space = 1 << 16;
  FILE *file = fopen(path, "rb");
  *size = 0;
  *data = NULL;
  if (!file) return complain(EXIT_NO_INPUT, "cannot open the input", path);
  for (;;) {
    uint8_t *larger = realloc(*data, space);
    if (!larger) {
      fclose(file);
      return complain(EXIT_LIMIT, "not enough memory for the input", path);
    }
    *data = larger;
    *size += fread(*data + *size, 1, space - *size, file);
    if (*size < space) break;
    space *= 2;
  }
  int failed = ferror(file);
  fclose(file);
  return failed ? complain(EXIT_IO, "cannot read the input", path) : 0;
}

/* 9.2: one line. */
static int report(const nvrc_error *e) {
  fprintf(stderr, "error[%s] at byte 0x%llx: %s %llu: required: %s (spec %s%s%s)\n", e->code,
          (unsigned long long)e->offset, e->unit, (unsigned long long)e->unit_number, e->sentence, e->section,
          *e->requirement ? ", " : "", e->requirement);
  return (int)e->kind;
}

static int decode(const uint8_t *data, size_t size, FILE *output, const char *path) {
  nvrc_error error;
  nvrc_frame frame;
  nvrc_status status;
  int code = 0;
  nvrc_decoder *decoder = nvrc_open(data, size, NULL, NULL, &error);
  if (!decoder) return report(&error);
  while (code == 0 && (status = nvrc_decode(decoder, &frame, &error)) != NVRC_END) {
    if (status == NVRC_ERROR)
      code = report(&error);
    else if (fwrite(frame.bytes, 1, frame.size, output) != frame.size)
      code = complain(EXIT_IO, "cannot write the output", path);
  }
  nvrc_close(decoder);
  return code;
}

/* Only a regular file is removed: the output may also be a device or a pipe. */
static int is_regular(FILE *file) {
  struct stat s;
  return fstat(fileno(file), &s) == 0 && S_ISREG(s.st_mode);
}

int main(int argc, char **argv) {
  uint8_t *data;
  size_t size;
  if (argc != 4 || strcmp(argv[2], "-o") != 0) {
    fprintf(stderr, "usage: nvrc-c INPUT -o OUTPUT.yuv\n");
    return EXIT_USAGE;
  }
  const char *output_path = argv[3];
  int code = read_file(argv[1], &data, &size);
  if (code == 0) {
    FILE *output = fopen(output_path, "wb");
    if (!output) {
      code = complain(EXIT_IO, "cannot open the output", output_path);
    } else {
      int removable = is_regular(output);
      code = decode(data, size, output, output_path);
      if (fclose(output) != 0 && code == 0) code = complain(EXIT_IO, "cannot write the output", output_path);
      if (code != 0 && removable) remove(output_path);
    }
  }
  free(data);
  return code;
}
