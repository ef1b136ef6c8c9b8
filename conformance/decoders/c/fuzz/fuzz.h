/* What the two fuzzers share. */
#ifndef NVRC_FUZZ_H
#define NVRC_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Where the units of data lie, as far as their lengths lead (2.3): the first byte, that of the payload, that of crc. */
typedef struct {
  size_t first, payload, crc;
} FuzzUnit;

size_t fuzz_units(const uint8_t *data, size_t size, FuzzUnit *unit, size_t most);

/* Makes the crc of every unit right. */
void fuzz_repair(uint8_t *data, size_t size);

/* Decodes a stream with small limits. Returns NULL where it is accepted, or the code of the error. Aborts where the
 * decoder breaks a promise: all memory is freed; an error is complete; the frames of an accepted stream are the same
 * through nvrc_seek; a decoder that failed can be asked again. */
const char *fuzz_decode(const uint8_t *data, size_t size);

#endif
