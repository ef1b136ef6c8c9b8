/* What the library needs of <stdlib.h>; libc.c has it. */
#ifndef NVRC_WASM_STDLIB_H
#define NVRC_WASM_STDLIB_H

#include <stddef.h>

void *malloc(size_t size);
void free(void *memory);

#endif
