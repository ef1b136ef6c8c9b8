/* mutations SEED FROM TO STREAM...: decodes mutations FROM .. TO - 1 of the streams, each made of its number and SEED
 * alone, and prints what became of them as JSON. Built with sanitizers, it stops at the first fault, or where a case
 * takes too long, and leaves the case in crash.nvrc. */
#define _XOPEN_SOURCE 600

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "fuzz.h"

enum { MAX_STREAMS = 256, MAX_BYTES = 1 << 17, MAX_UNITS = 64, MAX_CODES = 40, CASE_SECONDS = 20 };

static struct {
  uint8_t *data;
  size_t size;
} streams[MAX_STREAMS];
static unsigned num_streams;

/* The case */
static uint8_t data[MAX_BYTES];
static size_t size;
static uint64_t state, number;

static struct {
  const char *code;
  unsigned long count;
} codes[MAX_CODES];

void __sanitizer_set_death_callback(void (*callback)(void));

static void save_case(void) {
  FILE *file = fopen("crash.nvrc", "wb");
  fprintf(stderr, "case %llu is in crash.nvrc\n", (unsigned long long)number);
  if (!file) return;
  fwrite(data, 1, size, file);
  fclose(file);
}

static void take_too_long(int signal) {
  (void)signal;
  fprintf(stderr, "a case takes more than %d s\n", CASE_SECONDS);
  save_case();
  abort();
}

/* From now on, a case has CASE_SECONDS of the processor. */
static void begin_clock(void) {
  const struct itimerval most = {{0, 0}, {CASE_SECONDS, 0}};
  setitimer(ITIMER_PROF, &most, NULL);
}

/* SplitMix64 */
static uint64_t next_random(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static size_t below(size_t n) { return (size_t)(next_random() % n); }

static void remove_bytes(size_t at, size_t count) {
  memmove(data + at, data + at + count, size - at - count);
  size -= count;
}

static void insert_bytes(size_t at, const uint8_t *bytes, size_t count) {
  if (size + count > MAX_BYTES) return;
  memmove(data + at + count, data + at, size - at);
  memcpy(data + at, bytes, count);
  size += count;
}

/* A place in the stream; most of them near the beginning of a unit, where its header is. */
static size_t place(void) {
  FuzzUnit unit[MAX_UNITS];
  size_t count = fuzz_units(data, size, unit, MAX_UNITS);
  if (count == 0 || below(3) == 0) return below(size);
  const FuzzUnit *u = &unit[below(count)];
  size_t bytes = u->crc - u->first;
  return u->first + below(below(2) && bytes > 48 ? 48 : bytes);
}

/* Makes unit_length right for a payload that is to have `more` bytes more; else all that follows would be lost. */
static void resize_unit(size_t at, int more) {
  FuzzUnit unit[MAX_UNITS];
  size_t count = fuzz_units(data, size, unit, MAX_UNITS);
  for (size_t i = 0; i < count; i++) {
    const FuzzUnit *u = &unit[i];
    if (at < u->payload || at >= u->crc) continue;
    size_t length = u->crc - u->payload + (size_t)more, bytes = u->payload - u->first - 1;
    if (length >> (7 * bytes) != 0) return;
    for (size_t k = 0; k < bytes; k++)
      data[u->first + 1 + k] = (uint8_t)((length >> (7 * k) & 127) | (k + 1 < bytes ? 128 : 0));
  }
}

/* Copies, removes or moves a unit, or takes one of another stream. */
static void mutate_units(void) {
  FuzzUnit unit[MAX_UNITS];
  size_t count = fuzz_units(data, size, unit, MAX_UNITS);
  if (count == 0) return;
  const FuzzUnit from = unit[below(count)];
  size_t to = unit[below(count)].first, bytes = from.crc + 4 - from.first;
  uint8_t *copy = malloc(bytes);
  memcpy(copy, data + from.first, bytes);
  switch (below(4)) {
    case 0: insert_bytes(to, copy, bytes); break;
    case 1: remove_bytes(from.first, bytes); break;
    case 2:
      remove_bytes(from.first, bytes);
      insert_bytes(to > from.first ? to - bytes : to, copy, bytes);
      break;
    default: {
      unsigned other = (unsigned)below(num_streams);
      count = fuzz_units(streams[other].data, streams[other].size, unit, MAX_UNITS);
      if (count == 0) break;
      const FuzzUnit u = unit[below(count)];
      insert_bytes(to, streams[other].data + u.first, u.crc + 4 - u.first);
    }
  }
  free(copy);
}

static void mutate(void) {
  static const uint8_t values[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255};
  size_t at = place(), count;
  uint8_t bytes[4];
  switch (below(8)) {
    case 0:
    case 1: data[at] ^= (uint8_t)(1u << below(8)); break;
    case 2: data[at] = values[below(sizeof values)]; break;
    case 3: data[at] = (uint8_t)(data[at] + (below(2) ? 1 : 255)); break;
    case 4: data[at] = (uint8_t)below(256); break;
    case 5:
      for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)below(256);
      count = 1 + below(sizeof bytes);
      if (below(8) != 0) resize_unit(at, (int)count);
      insert_bytes(at, bytes, count);
      break;
    case 6:
      count = 1 + below(size - at < 8 ? size - at : 8);
      if (count == size) break;
      if (below(8) != 0) resize_unit(at, -(int)count);
      remove_bytes(at, count);
      break;
    default: mutate_units(); break;
  }
}

/* Case `number`: some changes of a stream, behind crcs that are right in most cases. */
static void make_case(uint64_t seed) {
  state = seed * 0xd1342543de82ef95u + number;
  unsigned stream = (unsigned)below(num_streams);
  size = streams[stream].size;
  memcpy(data, streams[stream].data, size);
  for (size_t left = 1 + below(4); left > 0 && size > 0; left--) mutate();
  if (below(16) != 0) fuzz_repair(data, size);
}

static void count_code(const char *code) {
  for (int i = 0; i < MAX_CODES; i++) {
    if (codes[i].code && strcmp(codes[i].code, code) != 0) continue;
    codes[i].code = code;
    codes[i].count++;
    return;
  }
}

static int read_stream(const char *path) {
  FILE *file = fopen(path, "rb");
  size_t count = file ? fread(data, 1, sizeof data, file) : 0;
  if (file) fclose(file);
  if (count == 0 || count == sizeof data || num_streams == MAX_STREAMS) return 0;
  streams[num_streams].data = malloc(count);
  memcpy(streams[num_streams].data, data, count);
  streams[num_streams++].size = count;
  return 1;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
  unsigned long accepted = 0, rejected = 0;
  double start = seconds(), slowest = 0;
  if (argc < 5) return 2;
  uint64_t seed = strtoull(argv[1], NULL, 10), from = strtoull(argv[2], NULL, 10), to = strtoull(argv[3], NULL, 10);
  for (int i = 4; i < argc; i++)
    if (!read_stream(argv[i])) return 2;
  __sanitizer_set_death_callback(save_case);
  signal(SIGPROF, take_too_long);
  for (number = from; number < to; number++) {
    clock_t before = clock();
    make_case(seed);
    begin_clock();
    const char *code = fuzz_decode(data, size);
    double taken = (double)(clock() - before) / CLOCKS_PER_SEC;
    if (taken > slowest) slowest = taken;
    if (code)
      rejected++, count_code(code);
    else
      accepted++;
  }
  double taken = seconds() - start;
  printf("{\"seed\": %llu, \"from\": %llu, \"to\": %llu, \"streams\": %u, \"accepted\": %lu, \"rejected\": %lu, ",
         (unsigned long long)seed, (unsigned long long)from, (unsigned long long)to, num_streams, accepted, rejected);
  printf("\"codes\": {");
  for (int i = 0; i < MAX_CODES && codes[i].code; i++)
    printf("%s\"%s\": %lu", i > 0 ? ", " : "", codes[i].code, codes[i].count);
  printf("}, \"seconds\": %.1f, \"cases_per_second\": %.1f, \"slowest_case_cpu_seconds\": %.3f}\n", taken,
         (double)(to - from) / taken, slowest);
  return 0;
}
