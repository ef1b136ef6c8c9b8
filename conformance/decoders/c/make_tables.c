/* Writes tables.c from spec/tables: make_tables laplace.bin prior.bin > tables.c */
#include <stdint.h>
#include <stdio.h>

enum { NUM_TABLES = 320 };

static int read_le(FILE *file, int bytes, uint32_t *value) {
  *value = 0;
  for (int i = 0; i < bytes; i++) {
    int byte = getc(file);
    if (byte == EOF) return 0;
    *value |= (uint32_t)byte << (8 * i);
  }
  return 1;
}

/* 4.2: a table ends where its frequencies have reached 2^24. */
static int laplace(FILE *file) {
  uint32_t start[NUM_TABLES + 1] = {0}, next = 0, frequency;
  printf("const uint8_t nv_laplace_left[][3] = {\n");
  for (int t = 0; t < NUM_TABLES; t++) {
    uint32_t left = 0;
    while (left < 1u << 24) {
      if (!read_le(file, 3, &frequency)) return 0;
      printf("{%u,%u,%u},", (unsigned)(left & 255), (unsigned)(left >> 8 & 255), (unsigned)(left >> 16));
      left += frequency;
      next++;
    }
    if (left != 1u << 24) return 0;
    printf("\n");
    start[t + 1] = next;
  }
  printf("};\n\nconst uint32_t nv_laplace_start[%d] = {\n", NUM_TABLES + 1);
  for (int t = 0; t <= NUM_TABLES; t++) printf("%lu,\n", (unsigned long)start[t]);
  printf("};\n");
  return getc(file) == EOF;
}

/* 6.5 */
static int prior(FILE *file) {
  uint32_t value;
  printf("\nconst int32_t nv_prior[] = {\n");
  while (read_le(file, 4, &value))
    printf("%ld,\n", (long)(value < 1u << 31 ? (int64_t)value : (int64_t)value - ((int64_t)1 << 32)));
  printf("};\n");
  return 1;
}

int main(int argc, char **argv) {
  FILE *first = argc == 3 ? fopen(argv[1], "rb") : NULL;
  FILE *second = argc == 3 ? fopen(argv[2], "rb") : NULL;
  if (!first || !second) {
    fprintf(stderr, "usage: make_tables laplace.bin prior.bin > tables.c\n");
    return 2;
  }
  printf("/* Written by make_tables.c from spec/tables. */\n#include \"internal.h\"\n\n");
  if (!laplace(first) || !prior(second)) {
    fprintf(stderr, "make_tables: the tables are damaged\n");
    return 1;
  }
  return 0;
}
