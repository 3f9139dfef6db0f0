import { stringify } from "csv-stringify/sync";
import { decimals } from "./decimals.ts";
import type { EmbeddingTable } from "./table.ts";

/**
 * RFC 4180 with a header, UTF-8: `location,lon,lat,kind,label,embedding_0,…`; no `label` where no location has one. Numbers
 * read back as the same float64 and float32.
 */
export async function* encodeCsv(table: EmbeddingTable): AsyncGenerator<Uint8Array> {
  const { size, labelled } = table;
  const encoder = new TextEncoder();
  const line = (records: readonly (readonly unknown[])[]): Uint8Array =>
    encoder.encode(
      // Its own rule quotes no lone end of line.
      stringify(records as unknown[][], { record_delimiter: "windows", quoted_match: /[\r\n]/ }),
    );
  yield line([
    [
      ...["location", "lon", "lat", "kind", ...(labelled ? ["label"] : [])],
      ...Array.from({ length: size }, (_, k) => `embedding_${k}`),
    ],
  ]);
  for await (const { location, lon, lat, kind, label, vectors } of table.blocks()) {
    yield line(
      Array.from(location, (each, i) => [
        ...[each, lon[i], lat[i], kind[i], ...(labelled ? [label[i]] : [])],
        ...decimals(vectors, i * size, size),
      ]),
    );
  }
}
