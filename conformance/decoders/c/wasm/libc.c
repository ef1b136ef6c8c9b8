/* The few functions of a C library that the decoder needs, for wasm32 without one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return memmove(to, from, size); }

void *memmove(void *to, const void *from, size_t size) {
  uint8_t *t = to;
  const uint8_t *f = from;
  if (t <= f)
    for (size_t i = 0; i < size; i++) t[i] = f[i];
  else
    while (size-- > 0) t[size] = f[size];
  return to;
}

void *memset(void *to, int value, size_t size) {
  for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = (uint8_t)value;
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const uint8_t *p = a, *q = b;
  for (size_t i = 0; i < size; i++)
    if (p[i] != q[i]) return p[i] - q[i];
  return 0;
}

size_t strlen(const char *text) {
  size_t size = 0;
  while (text[size]) size++;
  return size;
}

int strcmp(const char *a, const char *b) {
  for (; *a && *a == *b; a++) b++;
  return (uint8_t)*a - (uint8_t)*b;
}

char *strcpy(char *restrict to, const char *restrict from) { return memcpy(to, from, strlen(from) + 1); }

/* Memory is a list of chunks, in order of address, that fill it from `list` to its end. A chunk that is too large is
 * cut; free chunks that touch are joined while one is looked for. */
typedef struct Chunk {
  size_t size; /* of the chunk, with this header */
  size_t used;
} Chunk;

enum { HEADER = 16, PAGE = 65536 };

extern char __heap_base; /* where the linker says that the heap begins */
static uintptr_t list, end;

static Chunk *after(Chunk *c) { return (Chunk *)((uintptr_t)c + c->size); }

/* Adds pages at the end, as one free chunk. Nothing else grows the memory. */
static int grow(size_t size) {
  if (!list) {
    list = ((uintptr_t)&__heap_base + HEADER - 1) / HEADER * HEADER;
    end = __builtin_wasm_memory_size(0) * (uintptr_t)PAGE;
    if (end - list >= HEADER)
      *(Chunk *)list = (Chunk){end - list, 0};
    else
      list = end;
  }
  size_t pages = size / PAGE + 1;
  if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
  *(Chunk *)end = (Chunk){pages * PAGE, 0};
  end += pages * PAGE;
  return 1;
}

static Chunk *find(size_t size) {
  for (Chunk *c = (Chunk *)list; (uintptr_t)c < end; c = after(c)) {
    if (c->used) continue;
    while ((uintptr_t)after(c) < end && !after(c)->used) c->size += after(c)->size;
    if (c->size >= size) return c;
  }
  return NULL;
}

void *malloc(size_t size) {
  if (size > SIZE_MAX / 2) return NULL;
  size = HEADER + (size + HEADER - 1) / HEADER * HEADER;
  Chunk *c = list ? find(size) : NULL;
  if (!c && grow(size)) c = find(size);
  if (!c) return NULL;
  if (c->size - size >= 2 * HEADER) {
    Chunk *rest = (Chunk *)((uintptr_t)c + size);
    *rest = (Chunk){c->size - size, 0};
    c->size = size;
  }
  c->used = 1;
  return (char *)c + HEADER;
}

void free(void *memory) {
  if (memory) ((Chunk *)((uintptr_t)memory - HEADER))->used = 0;
}
