/* The default options: the only file that needs malloc and free. */
#include <stdlib.h>

#include "internal.h"

static void *default_allocate(void *user, size_t size) {
  (void)user;
  return malloc(size);
}

static void default_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

nvrc_options nvrc_default_options(void) {
  /* 9.3 */
  static const nvrc_limits limits = {
      .width = 8192,
      .height = 8192,
      .pixels = 16777216,
      .gop_frames = 1024,
      .gop_symbols = 134217728,
      .gops = 65536,
      .unit_bytes = 33554432,
      .metadata_bytes = 1048576,
      .network_parameters = 1048576,
      .surplus_frames = 256,
      .memory_bytes = 900000000,
  };
  return (nvrc_options){limits, {default_allocate, default_release, NULL}, {NULL, NULL}};
}
