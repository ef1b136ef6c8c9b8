/* 2.3: the CRC-32 of units. */
#include "internal.h"

uint32_t nv_crc32(const uint8_t *data, size_t size) {
  uint32_t table[256];
  uint32_t crc = 0xffffffff;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320 : value >> 1;
    table[i] = value;
  }
  for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
  return ~crc;
}
