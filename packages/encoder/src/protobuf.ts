/** Fields of Protocol Buffers (protobuf.dev/programming-guides/encoding), as far as we write them. */

/** A field's key and value, encoded. */
export type Field = Uint8Array;

/** int64, int32, enum, bool: not negative. */
export function integer(field: number, value: number): Field {
  return join([varint(field * 8), varint(value)]);
}

/** A float32, little-endian. */
export function float(field: number, value: number): Field {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return join([varint(field * 8 + 5), bytes]);
}

/** A float64, little-endian. */
export function double(field: number, value: number): Field {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return join([varint(field * 8 + 1), bytes]);
}

/** A string, bytes, or a message with its fields. */
export function message(field: number, content: string | Uint8Array | readonly Field[]): Field {
  const bytes =
    typeof content === "string"
      ? new TextEncoder().encode(content)
      : content instanceof Uint8Array
        ? content
        : join(content);
  return join([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

/** Bytes one after the other. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}
