import type { Dataset } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import type { Coordinates } from "@loc2vec/shards";
import type { Embeddings } from "./embeddings.ts";
import type { Figure } from "./page.ts";
import type { Picture } from "./picture.ts";

/** What figures of a data set are drawn from. */
export interface Drawing {
  dataset: Dataset;
  profile: Profile;
  /** Where locations lie, and of which kind they are. */
  places: Coordinates;
  /** Locations with something to see, the fullest tiles first; at least one. */
  chosen: readonly number[];
  /** All rendered locations, in an order drawn by the data set's seed. */
  shuffled: readonly number[];
  /** Whether a location's shard is rendered. */
  isRendered(location: number): boolean;
  /** A tile, planar uint8 [channel, y, x]. @throws FarmError `shards-missing`, `damaged` */
  tile(location: number, sample: number): Promise<Uint8Array>;
  /** A tile for human eyes. */
  rgb(location: number, sample: number): Promise<Picture>;
  /** Writes a picture into the report's folder as PNG. @param zoom whole @returns its name */
  save(file: string, picture: Picture, zoom?: number): Promise<string>;
  /** Writes an SVG there. @returns its name */
  saveSvg(file: string, svg: string): Promise<string>;
}

/** What figures of a model are drawn from. */
export interface ModelDrawing extends Drawing {
  /** Loss of each step. */
  losses: readonly number[];
  embeddings: Embeddings;
}

/** Draws one figure, its pictures into the report's folder. */
export interface FigureMaker<D extends Drawing> {
  /** What the log says is drawn. */
  subject: string;
  draw(drawing: D): Promise<Figure>;
}

/** The location that figures show in place `i`: they begin anew where fewer are chosen. */
export function chosenAt({ chosen }: Drawing, i: number): number {
  return chosen[i % chosen.length] as number;
}
