/* The public functions that open, decode and close. */
#include "internal.h"

static int read_nothing(void *user, uint64_t offset, void *to, size_t count) {
  (void)user;
  (void)offset;
  (void)to;
  return count > 0;
}

static nvrc_decoder *open_decoder(const nvrc_source *source, const uint8_t *data, const nvrc_options *options,
                                  nvrc_error *error) {
  nvrc_options chosen = options ? *options : nvrc_default_options();
  nvrc_decoder *d = chosen.allocator.allocate(chosen.allocator.user, sizeof *d);
  if (!d) {
    *error = (nvrc_error){NVRC_LIMIT, "E_MEMORY", 0, "stream", 0, "", "9.2", "there is enough memory"};
    return NULL;
  }
  memset(d, 0, sizeof *d);
  d->options = chosen;
  d->source = *source;
  d->data = data;
  d->table.scope = SCOPE_TABLE;
  if (nv_open_stream(d)) {
    *error = d->error;
    nvrc_close(d);
    return NULL;
  }
  return d;
}

nvrc_decoder *nvrc_open(const nvrc_source *source, const nvrc_options *options, nvrc_error *error) {
  return open_decoder(source, NULL, options, error);
}

nvrc_decoder *nvrc_open_memory(const uint8_t *data, size_t size, const nvrc_options *options, nvrc_error *error) {
  static const uint8_t nothing[1];
  nvrc_source source = {read_nothing, NULL, size};
  return open_decoder(&source, size > 0 ? data : nothing, options, error);
}

const nvrc_sequence *nvrc_get_sequence(const nvrc_decoder *decoder) { return &decoder->sequence; }

nvrc_status nvrc_decode(nvrc_decoder *d, nvrc_frame *frame, nvrc_error *error) {
  Gop *gop = &d->gop;
  while (!d->failed && !d->at.ended && (!gop->active || gop->next_frame == gop->frame_count)) {
    if (nv_read_unit(d)) break;
  }
  if (d->failed) {
    *error = d->error;
    return NVRC_ERROR;
  }
  if (d->at.ended) return NVRC_END;
  frame->index = d->at.frames - (uint64_t)(gop->frame_count - gop->next_frame);
  nv_synthesise(d, gop->next_frame++);
  nv_reconstruct(d);
  frame->bytes = gop->raw;
  frame->size = gop->raw_size;
  return NVRC_OK;
}

void nvrc_close(nvrc_decoder *d) {
  nvrc_allocator allocator = d->options.allocator;
  for (int scope = 0; scope < NUM_SCOPES; scope++) nv_release(d, (Scope)scope);
  allocator.release(allocator.user, d);
}
