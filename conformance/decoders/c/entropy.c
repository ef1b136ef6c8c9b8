/* Chapter 4: entropy coding. */
#include "internal.h"

static uint64_t next_word(Rans *r) {
  const uint8_t *p = r->next;
  r->next += 4;
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

/* 4.1: `size` is a multiple of 4 (R3.30, R3.32). */
Status nv_rans_init(Rans *r, nvrc_decoder *d, const Payload *payload) {
  r->d = d;
  r->offset = payload->offset;
  r->next = payload->bytes;
  r->end = r->next + payload->size;
  r->state = 0;
  if (r->next < r->end) {
    r->state = next_word(r);
    if (r->state == 0) return nv_fail(r->d, r->offset, R4_1);
    if (r->next < r->end) r->state = (r->state << 32) + next_word(r);
  }
  return 0;
}

/* 4.1: the second half of decode_symbol. */
static void advance(Rans *r, uint64_t frequency, uint64_t offset) {
  r->state = (r->state >> 24) * frequency + offset;
  if (r->state >> 32 == 0 && r->next < r->end) r->state = (r->state << 32) + next_word(r);
}

static uint32_t left_of(uint32_t entry) {
  const uint8_t *left = nv_laplace_left[entry];
  return (uint32_t)left[0] | (uint32_t)left[1] << 8 | (uint32_t)left[2] << 16;
}

/* 4.1: decode_symbol; the search for the symbol halves the table instead of walking through it. */
static uint32_t decode_symbol(Rans *r, int table) {
  const uint32_t first = nv_laplace_start[table], last = nv_laplace_start[table + 1] - 1;
  uint32_t quantile = (uint32_t)(r->state & 0xffffff);
  uint32_t entry = first, beyond = last + 1;
  while (beyond - entry > 1) { /* the symbol is one of entry .. beyond - 1 */
    uint32_t middle = (entry + beyond) / 2;
    if (left_of(middle) <= quantile)
      entry = middle;
    else
      beyond = middle;
  }
  uint32_t left = left_of(entry), right = entry == last ? 1u << 24 : left_of(entry + 1);
  advance(r, right - left, quantile - left);
  return entry - first;
}

/* 4.2: BIT_TABLE */
static uint32_t decode_bit(Rans *r) {
  uint32_t quantile = (uint32_t)(r->state & 0xffffff);
  advance(r, 1u << 23, quantile & 0x7fffff);
  return quantile >> 23;
}

/* 4.2: K; a table has 2 * K + 2 symbols. */
static int32_t table_k(int table) { return (int32_t)(nv_laplace_start[table + 1] - nv_laplace_start[table] - 2) / 2; }

/* 4.4 */
static Status decode_escape(Rans *r, int32_t k, int32_t *residual) {
  int prefix = 0;
  int32_t suffix = 0;
  while (decode_bit(r) == 0)
    if (++prefix > 20) return nv_fail(r->d, r->offset, R4_3);
  for (int i = 0; i < prefix; i++) suffix = 2 * suffix + (int32_t)decode_bit(r);
  *residual = k + (1 << prefix) + suffix;
  if (decode_bit(r)) *residual = -*residual;
  return 0;
}

static Status in_range(const Rans *r, int32_t value, int32_t limit) {
  if (value >= -limit && value <= limit) return 0;
  return nv_fail(r->d, r->offset, R4_4);
}

/* 4.3: the values of n positions. `order` has space for n positions: first it holds them sorted by table, then, from
 * its beginning, those that were escaped. */
Status nv_decode_step(Rans *r, size_t n, const uint16_t *table, const int16_t *mean, int32_t limit, size_t *order,
                      int32_t *value) {
  size_t next[NUM_TABLES + 1] = {0}, escaped = 0;
  int32_t residual = 0;
  for (size_t p = 0; p < n; p++) next[table[p] + 1]++;
  for (int i = 0; i < NUM_TABLES; i++) next[i + 1] += next[i];
  for (size_t p = 0; p < n; p++) order[next[table[p]]++] = p;
  for (size_t i = 0; i < n; i++) {
    size_t p = order[i];
    uint32_t symbol = decode_symbol(r, table[p]);
    if (symbol == 0) {
      order[escaped++] = p;
      continue;
    }
    value[p] = mean[p] + (int32_t)symbol - 1 - table_k(table[p]);
    TRY(in_range(r, value[p], limit));
  }
  for (size_t i = 0; i < escaped; i++) {
    size_t p = order[i];
    TRY(decode_escape(r, table_k(table[p]), &residual));
    value[p] = mean[p] + residual;
    TRY(in_range(r, value[p], limit));
  }
  return 0;
}

Status nv_rans_end(const Rans *r) {
  if (r->next == r->end && r->state == 0) return 0;
  return nv_fail(r->d, r->offset, R4_2);
}

/* 4.6: the coded integers q and b_q of all layers. */
Status nv_decode_parameters(nvrc_decoder *d, Network *network, const Payload *payload) {
  Rans r;
  size_t most = 0;
  for (int i = 0; i < network->num_layers; i++) {
    size_t weights = (size_t)(network->layer[i].outputs * network->layer[i].inputs);
    if (weights > most) most = weights;
  }
  uint16_t *table = nv_take(d, SCOPE_GRID, most, sizeof *table);
  int16_t *mean = table ? nv_take(d, SCOPE_GRID, most, sizeof *mean) : NULL;
  size_t *order = mean ? nv_take(d, SCOPE_GRID, most, sizeof *order) : NULL;
  if (!order) return 1;
  TRY(nv_rans_init(&r, d, payload));
  for (int i = 0; i < network->num_layers; i++) {
    Layer *l = &network->layer[i];
    size_t weights = (size_t)(l->outputs * l->inputs);
    for (size_t p = 0; p < weights; p++) table[p] = (uint16_t)(8 * l->weight_table);
    TRY(nv_decode_step(&r, weights, table, mean, Q_MAX, order, l->w));
    for (int p = 0; p < l->outputs; p++) table[p] = (uint16_t)(8 * l->bias_table);
    TRY(nv_decode_step(&r, (size_t)l->outputs, table, mean, BIAS_MAX, order, l->b));
  }
  TRY(nv_rans_end(&r));
  nv_release(d, SCOPE_GRID);
  return 0;
}
