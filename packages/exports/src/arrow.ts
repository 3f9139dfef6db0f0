import {
  AsyncByteQueue,
  Binary,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  Int32,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import type { EmbeddingTable, TableBlock } from "./table.ts";

/** What the writer has given and nobody has taken yet: unlike its own queue, it can be emptied after each batch. */
class Written extends AsyncByteQueue {
  readonly #chunks: Uint8Array[] = [];

  override write(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  take(): Buffer {
    return Buffer.concat(this.#chunks.splice(0));
  }
}

/** Arrow IPC, as a file: `location`, `lon`, `lat`, `kind`, `label` where there are any, `embedding` as a list of fixed size. */
export async function* encodeArrow(table: EmbeddingTable): AsyncGenerator<Uint8Array> {
  const schema = arrowSchema(table);
  const writer = new RecordBatchFileWriter();
  const written = new Written();
  writer.reset(written, schema);
  for await (const block of table.blocks()) {
    writer.write(toBatch(schema, table, block));
    yield written.take();
  }
  writer.finish();
  yield written.take();
}

const list = (size: number): FixedSizeList<Float32> =>
  new FixedSizeList(size, new Field("item", new Float32(), false));

function arrowSchema({ size, labelled, origin }: EmbeddingTable): Schema {
  return new Schema(
    [
      new Field("location", new Int32(), false),
      new Field("lon", new Float64(), false),
      new Field("lat", new Float64(), false),
      new Field("kind", new Utf8(), false),
      ...(labelled ? [new Field("label", new Utf8(), true)] : []),
      new Field("embedding", list(size), false),
    ],
    new Map([["loc2vec", JSON.stringify(origin)]]),
  );
}

function toBatch(schema: Schema, { size, labelled }: EmbeddingTable, block: TableBlock): RecordBatch {
  const length = block.location.length;
  const texts = (values: readonly (string | null)[]) => vectorFromArray(values, new Utf8()).data[0];
  const children = [
    makeData({ type: new Int32(), data: block.location }),
    makeData({ type: new Float64(), data: block.lon }),
    makeData({ type: new Float64(), data: block.lat }),
    texts(block.kind),
    ...(labelled ? [texts(block.label)] : []),
    makeData({
      ...{ type: list(size), length, nullCount: 0 },
      child: makeData({ type: new Float32(), data: block.vectors }),
    }),
  ];
  return new RecordBatch(
    schema,
    makeData({ type: new Struct(schema.fields), length, nullCount: 0, children: children as never }),
  );
}

/** A table's columns and a further one of bytes, as Parquet's metadata `ARROW:schema` say them: base64 of a schema's message. */
export function arrowSchemaText(table: EmbeddingTable, bytes: string): string {
  const written = new Written();
  const { fields } = arrowSchema(table);
  const all = new Schema([...fields, new Field(bytes, new Binary(), false)]);
  new RecordBatchStreamWriter().reset(written, all);
  return written.take().toString("base64");
}
