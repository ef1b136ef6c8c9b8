// How many bytes the units of a GOP take (spec 2.3, 3.4, 3.7). The decoder checks them; here they are only measured.

const NETWORK = 0x02;
const GOP = 0x03;
const DIGEST = 0x04;
const END = 0x05;
const NAMES = new Map([
  [0x01, "SEQUENCE"], [NETWORK, "NETWORK"], [GOP, "GOP"], [DIGEST, "DIGEST"], [END, "END"], [0x81, "METADATA"],
  [0x82, "INDEX"],
]);
const STREAM_HEADER_BYTES = 10;
const FOOTER_BYTES = 12;
const CRC_BYTES = 4;
const LEB128_BYTES = 9;
/** METADATA before a GOP is listed one by one up to here. */
const UNITS_MAX = 1000;
// Chapter 7: the slots are the same in all profiles.
const FLOW_SLOT = 9;
const SPLIT_SLOT = 10;
const NODE_SLOTS = [4, 5, 6, 7, 8];
const MAPPED_SLOTS = [...NODE_SLOTS, SPLIT_SLOT];
/** Of grid_mask, in the payload of NETWORK. */
const MASK_OFFSET = 10;

const unreadable = (offset) => new Error(`the sizes of the units at byte ${offset} cannot be read`);

/** Reads syntax elements one after the other. */
class Cursor {
  constructor(source, offset) {
    this.source = source;
    this.offset = offset;
  }

  bytes(count) {
    if (this.offset + count > this.source.size) throw unreadable(this.offset);
    const bytes = this.source.read(this.offset, count);
    this.offset += count;
    return bytes;
  }

  u8() {
    return this.bytes(1)[0];
  }

  leb128() {
    const from = this.offset;
    let value = 0;
    for (let i = 0, byte = 0x80; byte & 0x80; i++) {
      if (i === LEB128_BYTES) throw unreadable(from);
      byte = this.u8();
      value += (byte & 0x7f) * 2 ** (7 * i);
    }
    return value;
  }
}

/** The unit at an offset: { type, name, offset, size, payload }, whose payload begins there. */
function unitAt(source, offset) {
  const cursor = new Cursor(source, offset);
  const type = cursor.u8();
  const length = cursor.leb128();
  const size = cursor.offset - offset + length + CRC_BYTES;
  if (offset + size > source.size) throw unreadable(offset);
  return { type, name: NAMES.get(type) ?? `unit type 0x${type.toString(16)}`, offset, size, payload: cursor.offset };
}

function* unitsFrom(source, offset) {
  for (let at = offset; ; ) {
    const unit = unitAt(source, at);
    yield unit;
    if (unit.type === END) return;
    at += unit.size;
  }
}

/** The NETWORK in force for GOP n: that of INDEX, or where there is none, the last one before the GOP. */
function networkOf(source, n, gopOffset) {
  const footer = source.read(Math.max(0, source.size - FOOTER_BYTES), Math.min(FOOTER_BYTES, source.size));
  if (String.fromCharCode(...footer.subarray(8)) === "NVRX") {
    const offset = Number(new DataView(footer.buffer, footer.byteOffset).getBigUint64(0, true));
    const cursor = new Cursor(source, unitAt(source, offset).payload);
    const entries = cursor.leb128();
    for (let i = 0; i < entries; i++) {
      const [, , network] = [cursor.leb128(), cursor.leb128(), cursor.leb128()];
      if (i === n) return unitAt(source, network);
    }
    throw unreadable(offset);
  }
  let last = null;
  for (const unit of unitsFrom(source, STREAM_HEADER_BYTES)) {
    if (unit.type === NETWORK) last = unit;
    if (unit.offset >= gopOffset) break;
  }
  if (!last) throw unreadable(gopOffset);
  return last;
}

/** Bytes of each grid of a GOP, in the order of the stream: { slot, bytes }. */
function gridsOf(source, gop, network) {
  const head = new Cursor(source, network.payload + MASK_OFFSET);
  const mask = head.u8() | (head.u8() << 8);
  const present = (slot) => (mask >> slot) & 1;
  const spacings = NODE_SLOTS.some(present) ? head.u8() : 0;
  const keySpacing = 2 ** ((spacings >> 4) & 7);
  const nodeSpacing = 2 ** (spacings & 7);
  const cursor = new Cursor(source, gop.payload);
  const frames = cursor.leb128();
  const nodes = Math.ceil((frames - 1) / keySpacing) * (keySpacing / nodeSpacing) + 1;
  const order = [FLOW_SLOT, SPLIT_SLOT, ...Array(FLOW_SLOT).keys()].filter(present);
  return order.map((slot) => {
    if (MAPPED_SLOTS.includes(slot)) cursor.bytes(Math.ceil((NODE_SLOTS.includes(slot) ? nodes : frames) / 8));
    const bytes = cursor.leb128();
    cursor.offset += bytes;
    return { slot, bytes };
  });
}

/**
 * The units of GOP n, and those before it that came after the GOP before; without SEQUENCE.
 * @param {{size: number, read: function(number, number): Uint8Array}} source
 * @param {number} n
 * @param {function(number): number} offsetOf where a GOP begins
 * @returns {{name: string, offset: number, size: number, grids?: {slot: number, bytes: number}[]}[]}
 */
export function unitsOfGop(source, n, offsetOf) {
  const gopOffset = offsetOf(n);
  const found = [];
  let network = null;
  let skipped = n > 0 ? 2 : 1; // SEQUENCE, or the GOP before and its DIGEST
  for (const unit of unitsFrom(source, n > 0 ? offsetOf(n - 1) : STREAM_HEADER_BYTES)) {
    if (skipped-- > 0) continue;
    if (unit.type === NETWORK) network = unit;
    if (found.length === UNITS_MAX) throw new Error(`more than ${UNITS_MAX} units belong to this GOP`);
    const { name, offset, size } = unit;
    const grids = unit.type === GOP ? gridsOf(source, unit, network ?? networkOf(source, n, gopOffset)) : undefined;
    found.push(grids ? { name, offset, size, grids } : { name, offset, size });
    if (unit.type === DIGEST || unit.type === END) break;
  }
  return found;
}
