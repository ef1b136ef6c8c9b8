/* nvrc-c INPUT -o OUTPUT.yuv: decodes a stream to raw planar frames. `usage` tells the rest. */
#define _POSIX_C_SOURCE 200112L

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nvrc.h"

/* 9.1 */
enum { EXIT_USAGE = 2, EXIT_NO_INPUT = 66, EXIT_IO = 74 };

typedef struct {
  const char *input, *output, *stages;
  int info;
  uint64_t start, frames;
} Arguments;

static int usage(void) {
  fprintf(stderr,
          "usage: nvrc-c INPUT [-o OUTPUT.yuv] [--start N] [--frames N] [--stages FILE] [--info]\n"
          "  -o OUTPUT.yuv   write the frames as raw planes\n"
          "  --start N       begin with frame N (0)\n"
          "  --frames N      decode at most N frames\n"
          "  --stages FILE   write a line for each stage of decoding, its path and its digest\n"
          "  --info          print what the stream is\n");
  return EXIT_USAGE;
}

static int complain(int code, const char *what, const char *path) {
  fprintf(stderr, "error: %s: %s\n", path, what);
  return code;
}

/* 9.2: one line. */
static int report(const nvrc_error *e) {
  fprintf(stderr, "error[%s] at byte 0x%" PRIx64 ": %s %" PRIu64 ": required: %s (spec %s%s%s)\n", e->code, e->offset,
          e->unit, e->unit_number, e->sentence, e->section, *e->requirement ? ", " : "", e->requirement);
  return (int)e->kind;
}

static int read_file(void *user, uint64_t offset, void *to, size_t count) {
  FILE *file = user;
  return fseeko(file, (off_t)offset, SEEK_SET) != 0 || fread(to, 1, count, file) != count;
}

static void write_stage(void *user, const char *path, const char *digest) {
  fprintf((FILE *)user, "%s %s\n", path, digest);
}

static int print_info(nvrc_decoder *decoder) {
  const nvrc_sequence *s = nvrc_get_sequence(decoder);
  nvrc_metadata entry = {0};
  nvrc_error error;
  uint64_t frames, gops;
  nvrc_status status;
  if (nvrc_count(decoder, &frames, &gops, &error) == NVRC_ERROR) return report(&error);
  printf("width=%" PRIu32 "\nheight=%" PRIu32 "\nrate=%" PRIu32 "/%" PRIu32 "\n", s->width, s->height,
         s->rate_numerator, s->rate_denominator);
  printf("chroma_format=%d\nbit_depth=%d\nprofile=%d\nlevel=%d\n", s->chroma_format, s->bit_depth, s->profile,
         s->level);
  printf("colour=%d/%d/%d\nfull_range=%d\nchroma_sample_position=%d\n", s->colour_primaries,
         s->transfer_characteristics, s->matrix_coefficients, s->full_range, s->chroma_sample_position);
  printf("frames=%" PRIu64 "\ngops=%" PRIu64 "\n", frames, gops);
  while ((status = nvrc_next_metadata(decoder, NULL, &entry, &error)) == NVRC_OK) {
    printf("metadata at frame %" PRIu64 ": ", entry.first_frame);
    for (size_t i = 0; i < entry.key_size; i++) putchar((unsigned char)entry.key[i] < 32 ? '?' : entry.key[i]);
    printf(" (%zu bytes)\n", entry.value_size);
  }
  return status == NVRC_ERROR ? report(&error) : 0;
}

static int decode_frames(nvrc_decoder *decoder, const Arguments *a, FILE *output) {
  nvrc_error error;
  nvrc_frame frame;
  nvrc_status status = a->start > 0 ? nvrc_seek(decoder, a->start, &error) : NVRC_OK;
  if (status == NVRC_ERROR) return report(&error);
  if (status == NVRC_END) return complain(EXIT_NO_INPUT, "the stream ends before the first frame asked for", a->input);
  for (uint64_t n = 0; n < a->frames; n++) {
    status = nvrc_decode(decoder, &frame, &error);
    if (status == NVRC_END) break;
    if (status == NVRC_ERROR) return report(&error);
    if (output && fwrite(frame.bytes, 1, frame.size, output) != frame.size)
      return complain(EXIT_IO, "cannot write the output", a->output);
  }
  return 0;
}

static int run(const Arguments *a, const nvrc_source *source, FILE *stages, FILE *output) {
  nvrc_options options = nvrc_default_options();
  nvrc_error error;
  if (stages) options.observer = (nvrc_observer){write_stage, stages};
  nvrc_decoder *decoder = nvrc_open(source, &options, &error);
  if (!decoder) return report(&error);
  int code = a->info ? print_info(decoder) : 0;
  if (code == 0 && (output || stages)) code = decode_frames(decoder, a, output);
  nvrc_close(decoder);
  return code;
}

/* Opens an output, if one is asked for. Only a regular file is removed later: it may also be a device or a pipe. */
static int open_output(const char *path, FILE **file, int *removable) {
  struct stat s;
  *file = NULL;
  *removable = 0;
  if (!path) return 0;
  *file = fopen(path, "wb");
  if (!*file) return complain(EXIT_IO, "cannot open the output", path);
  *removable = fstat(fileno(*file), &s) == 0 && S_ISREG(s.st_mode);
  return 0;
}

static int close_output(int code, const char *path, FILE *file, int removable) {
  if (file && fclose(file) != 0 && code == 0) code = complain(EXIT_IO, "cannot write the output", path);
  if (code != 0 && removable) remove(path);
  return code;
}

static int with_outputs(const Arguments *a, const nvrc_source *source) {
  FILE *output, *stages;
  int removable, unused;
  int code = open_output(a->output, &output, &removable);
  if (code != 0) return code;
  code = open_output(a->stages, &stages, &unused);
  if (code == 0) code = run(a, source, stages, output);
  code = close_output(code, a->stages, stages, 0); /* kept after an error: they tell where it began */
  return close_output(code, a->output, output, removable);
}

/* A number in decimal */
static int number(const char *text, uint64_t *value) {
  char *end;
  if (!text || *text < '0' || *text > '9') return 0;
  errno = 0;
  *value = strtoull(text, &end, 10);
  return *end == 0 && errno == 0;
}

static int parse(char **argv, Arguments *a) {
  *a = (Arguments){.frames = UINT64_MAX};
  for (char **arg = argv + 1; *arg; arg++) {
    if (strcmp(*arg, "-o") == 0 && arg[1])
      a->output = *++arg;
    else if (strcmp(*arg, "--stages") == 0 && arg[1])
      a->stages = *++arg;
    else if (strcmp(*arg, "--start") == 0 && number(arg[1], &a->start))
      arg++;
    else if (strcmp(*arg, "--frames") == 0 && number(arg[1], &a->frames))
      arg++;
    else if (strcmp(*arg, "--info") == 0)
      a->info = 1;
    else if (**arg != '-' && !a->input)
      a->input = *arg;
    else
      return 0;
  }
  return a->input && (a->output || a->stages || a->info);
}

int main(int argc, char **argv) {
  Arguments a;
  if (argc < 2 || !parse(argv, &a)) return usage();
  FILE *file = fopen(a.input, "rb");
  if (!file) return complain(EXIT_NO_INPUT, "cannot open the input", a.input);
  off_t size = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : -1;
  nvrc_source source = {read_file, file, (uint64_t)size};
  int code = size < 0 ? complain(EXIT_NO_INPUT, "cannot seek in the input", a.input) : with_outputs(&a, &source);
  fclose(file);
  return code;
}
