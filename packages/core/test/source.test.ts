import { expect, test } from "vitest";
import { checkSource, MismatchError, type TileSource } from "../src/index.ts";

const SOURCE: TileSource = {
  map: { name: "porto.osm.pbf", sha256: "a".repeat(64), importHash: "b".repeat(64) },
  renderer: "loc2vec 1 fast",
  styleHash: "c".repeat(64),
};
const dataset = { name: "city", source: SOURCE };

test("a source that would draw other tiles is refused, with both sides named", () => {
  const check = (source: TileSource) => () => checkSource(dataset, source, "this worker");
  expect(check(SOURCE)).not.toThrow();
  // The same file under another name is the same map.
  expect(check({ ...SOURCE, map: { ...SOURCE.map, name: "oporto.pbf" } })).not.toThrow();
  const other = {
    ...SOURCE,
    map: { name: "lisbon.osm.pbf", sha256: "d".repeat(64), importHash: "b".repeat(64) },
  };
  expect(check(other)).toThrowError(MismatchError);
  expect(check(other)).toThrowError(
    /city is drawn from the map porto\.osm\.pbf \(sha256 aaaaaaaaaaaa….*this worker has lisbon\.osm\.pbf/,
  );
  expect(check({ ...SOURCE, map: { ...SOURCE.map, importHash: "e".repeat(64) } })).toThrowError(
    /imported with the rules bbbbbbbbbbbb….* has porto.* rules eeeeeeeeeeee…/,
  );
  expect(check({ ...SOURCE, styleHash: "f".repeat(64) })).toThrowError(
    /cartography cccc.*this worker draws ffff/,
  );
});
