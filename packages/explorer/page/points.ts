import { type Neighbours, openNeighbours } from "@loc2vec/space";
import type { About } from "../src/about.ts";
import { decodeTensors, type Tensor } from "../src/tensors.ts";
import type { Source } from "./source.ts";

/** The points of the page: all locations of the data set, or a sample of them. A point is its number, 0 to n − 1. */
export interface Points {
  readonly about: About;
  readonly n: number;
  /** Number of the location. */
  readonly row: Int32Array;
  readonly lon: Float64Array;
  readonly lat: Float64Array;
  readonly kind: Uint8Array;
  readonly label: Int32Array;
  readonly region: Uint8Array;
  /** f32 [n, size] and [n, 3]. */
  readonly vector: Float32Array;
  readonly pca: Float32Array;
  readonly density: Uint32Array | undefined;
  readonly neighbours: Neighbours;
  /** The point of a location; undefined where the sample lacks it. */
  pointOf(location: number): number | undefined;
  kindName(point: number): string;
  labelName(point: number): string;
}

export async function loadPoints(source: Source): Promise<Points> {
  const { about: text, columns } = decodeTensors(await source.points());
  const about = JSON.parse(text) as About;
  const column = <T extends Tensor>(name: string): T => columns[name]?.data as T;
  const [row, lon, lat] = [
    column<Int32Array>("row"),
    column<Float64Array>("lon"),
    column<Float64Array>("lat"),
  ];
  const [kind, label, vector] = [
    column<Uint8Array>("kind"),
    column<Int32Array>("label"),
    column<Float32Array>("vector"),
  ];
  const points = new Map(Array.from(row, (location, point) => [location, point]));
  return {
    ...{ about, n: row.length, row, lon, lat, kind, label, vector },
    ...{ region: column<Uint8Array>("region"), pca: column<Float32Array>("pca") },
    density: columns.density?.data as Uint32Array | undefined,
    // The index of large sets is native code; a scan of 100,000 takes a few milliseconds here, too.
    neighbours: await openNeighbours(vector, about.size, { places: { lon, lat }, method: "exact" }),
    pointOf: (location) => points.get(location),
    kindName: (point) => about.kinds[kind[point] as number] as string,
    labelName: (point) => about.labels[label[point] as number] ?? "",
  };
}
