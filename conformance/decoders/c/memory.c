/* Memory, of which a limit of 9.3 caps the sum. */
#include "internal.h"

enum { BLOCK_HEADER = (sizeof(Block) + 15) / 16 * 16 };

/* Zeroed memory for `count` elements of `size` bytes, or NULL after an error. It is freed with its scope. */
void *nv_take(nvrc_decoder *d, Scope scope, uint64_t count, uint64_t size) {
  uint64_t left = d->options.limits.memory_bytes - d->memory;
  const nvrc_allocator *allocator = &d->options.allocator;
  if (left < BLOCK_HEADER || count > (left - BLOCK_HEADER) / size || count > (SIZE_MAX - BLOCK_HEADER) / size) {
    nv_over_limit(d, d->at.unit.offset, "the memory is within the limit of this decoder");
    return NULL;
  }
  uint64_t bytes = BLOCK_HEADER + count * size;
  Block *block = allocator->allocate(allocator->user, (size_t)bytes);
  if (!block) {
    nv_no_memory(d);
    return NULL;
  }
  memset(block, 0, (size_t)bytes);
  block->next = d->blocks[scope];
  block->size = bytes;
  d->blocks[scope] = block;
  d->memory += bytes;
  return (uint8_t *)block + BLOCK_HEADER;
}

void nv_release(nvrc_decoder *d, Scope scope) {
  while (d->blocks[scope]) {
    Block *block = d->blocks[scope];
    d->blocks[scope] = block->next;
    d->memory -= block->size;
    d->options.allocator.release(d->options.allocator.user, block);
  }
}

/* An array of zeros that lives as long as the GOP. */
Status nv_take_array(nvrc_decoder *d, Array *array, int channels, int64_t rows, int64_t columns) {
  array->channels = channels;
  array->rows = (int)rows;
  array->columns = (int)columns;
  array->v = nv_take(d, SCOPE_GOP, (uint64_t)channels * (uint64_t)rows * (uint64_t)columns, sizeof *array->v);
  return array->v == NULL;
}
