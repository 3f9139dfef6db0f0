import type { Levels, TileTransform } from "@loc2vec/core";
import type { FeatureSource } from "./features.ts";
import type { Coat } from "./style.ts";
import type { Frame } from "./window.ts";

/** What the time of a location goes into: the query of the map, drawing, and cutting tiles out of what was drawn. */
export type Stage = "query" | "render" | "cut";

/** What a renderer is made from. */
export interface DrawOptions {
  channels: readonly string[];
  coats: readonly (readonly Coat[])[];
  pixels: number;
  radius: number;
  /** How far paint reaches beyond its geometry, metres. */
  reach: number;
  features: FeatureSource;
  onStage: (stage: Stage, ms: number) => void;
}

/** Draws the samples of a location from features within `half` metres of it in each axis. May be called while other calls are under way. */
export type Draw = (
  frame: Frame,
  half: number,
  transforms: readonly TileTransform[],
  levels: Levels,
) => Promise<Uint8Array[]>;
