import { closeSync, openSync, readSync } from "node:fs";

function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const ELEMENTS = {
  F16: { bytes: 2, read: (view, at) => float16(view.getUint16(at, true)) },
  F32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  F64: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};

/** An analysis file, read value by value. */
export class AnalysisFile {
  constructor(path) {
    this.file = openSync(path, "r");
    const size = Number(this.#bytes(0, 8).getBigUint64(0, true));
    const header = this.#bytes(8, size);
    this.header = JSON.parse(new TextDecoder().decode(header));
    this.data = 8 + size;
    this.metadata = this.header.__metadata__;
    this.tokens = JSON.parse(this.metadata.tokens ?? "[]");
  }

  #bytes(from, count) {
    const buffer = Buffer.alloc(count);
    readSync(this.file, buffer, 0, count, from);
    return new DataView(buffer.buffer, buffer.byteOffset, count);
  }

  /** One value of an array, by its indices. */
  value(key, ...indices) {
    const { dtype, shape, data_offsets: [start] } = this.header[key];
    const place = indices.reduce((at, index, axis) => at * shape[axis] + index, 0);
    const { bytes, read } = ELEMENTS[dtype];
    return read(this.#bytes(this.data + start + place * bytes, bytes), 0);
  }

  shape(key) {
    return this.header[key].shape;
  }

  close() {
    closeSync(this.file);
  }
}
