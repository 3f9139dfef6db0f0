import { FarmError } from "@loc2vec/core";

// What travels between server and page: columns of numbers as they lie in memory, in the format of safetensors
// (huggingface.co/docs/safetensors). Nothing of Node is used here, for the page reads what the server writes.

const TYPES = { F64: Float64Array, F32: Float32Array, I32: Int32Array, U32: Uint32Array, U8: Uint8Array };

type TypeName = keyof typeof TYPES;
export type Tensor = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Columns by name, each with its shape, and a text about them. */
export interface Tensors {
  /** JSON, or empty. */
  about: string;
  columns: Readonly<Record<string, { shape: readonly number[]; data: Tensor }>>;
}

interface Entry {
  dtype: TypeName;
  shape: number[];
  data_offsets: [number, number];
}

/** Writes columns one after another, those of wide numbers first, so that each begins where its type wants it. */
export function encodeTensors({ about, columns }: Tensors): Uint8Array<ArrayBuffer> {
  const sorted = Object.entries(columns).sort(
    ([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT,
  );
  let end = 0;
  const entries: Record<string, Entry | Record<string, string>> = { __metadata__: { about } };
  for (const [name, { shape, data }] of sorted) {
    const dtype = (Object.keys(TYPES) as TypeName[]).find((type) => data instanceof TYPES[type]) as TypeName;
    entries[name] = { dtype, shape: [...shape], data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(entries));
  const header = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + header + end).fill(0x20, 8, 8 + header);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header), true);
  bytes.set(text, 8);
  for (const [name, { data }] of sorted)
    bytes.set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      8 + header + (entries[name] as Entry).data_offsets[0],
    );
  return bytes;
}

/** Reads them where they lie: nothing is copied. @throws FarmError `damaged` */
export function decodeTensors(buffer: ArrayBuffer): Tensors {
  const damaged = (why: string): FarmError =>
    new FarmError("damaged", `tensors: ${why}`, "load the page again");
  if (buffer.byteLength < 8) throw damaged(`${buffer.byteLength} bytes`);
  const header = Number(new DataView(buffer).getBigUint64(0, true));
  if (!(8 + header <= buffer.byteLength)) throw damaged("they end within their header");
  const { __metadata__, ...entries } = JSON.parse(
    new TextDecoder().decode(new Uint8Array(buffer, 8, header)),
  ) as Record<string, Entry> & { __metadata__?: { about?: string } };
  const columns: Record<string, { shape: number[]; data: Tensor }> = {};
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [begin, end],
    },
  ] of Object.entries(entries)) {
    const type = TYPES[dtype];
    if (type === undefined || 8 + header + end > buffer.byteLength) throw damaged(`${name} is cut off`);
    columns[name] = {
      shape,
      data: new type(buffer, 8 + header + begin, (end - begin) / type.BYTES_PER_ELEMENT),
    };
  }
  return { about: __metadata__?.about ?? "", columns };
}
