import type { Dataset, Progress, Random } from "@loc2vec/core";
import type { Architecture, LossName, Weights } from "@loc2vec/encoder";
import type { Profile } from "@loc2vec/gis";
import type { Coordinates } from "@loc2vec/shards";
import type { Neighbours } from "@loc2vec/space";
import type { HistoryEntry } from "@loc2vec/trainer";
import type { Embeddings } from "./embeddings.ts";
import type { FigurePicture } from "./page.ts";
import type { Picture } from "./picture.ts";
import type { Svg } from "./svg.ts";

/** A data set that is looked at. */
export interface City {
  dataset: Dataset;
  /** Where locations lie, and of which kind they are. */
  places: Coordinates;
  /** Locations with something to see, the fullest tiles first; at least one. */
  chosen: readonly number[];
  /** All rendered locations, in an order drawn by the data set's seed. */
  shuffled: readonly number[];
  /** Whether a location's shard is rendered. */
  isRendered(location: number): boolean;
  /** The labels that locations were given, by index of the location. */
  labels(): Promise<ReadonlyMap<number, string>>;
  /** A tile, planar uint8 [channel, y, x]. @throws FarmError `shards-missing`, `damaged` */
  tile(location: number, sample: number): Promise<Uint8Array>;
  /** A tile for human eyes. */
  rgb(location: number, sample: number): Promise<Picture>;
}

/** A data set that a model has embedded. */
export interface EmbeddedCity extends City {
  embeddings: Embeddings;
  /** Of its embeddings, with its places. */
  neighbours: Neighbours;
}

/** A picture that is written as it is. */
export interface ImageOptions {
  /** What it shows, for those who cannot see it. */
  alt: string;
  /** How large a person sees it, CSS pixels. */
  width: number;
  height: number;
}

/** What figures of a data set are drawn from. */
export interface Drawing extends City {
  profile: Profile;
  /** `quick` leaves the slow figures with fewer rows and rounds. */
  effort: "full" | "quick";
  signal: AbortSignal;
  /** Shows how far a slow figure is. */
  progress(label: string, total: number, unit: string): Progress;
  /** Draws that follow from the data set's seed and a name of the figure's choice, whatever was drawn before. */
  random(name: string): Random;
  /** Writes a picture with words into the atlas's folder. @param file its name, `.svg` */
  save(file: string, svg: Svg): Promise<FigurePicture>;
  /** Writes bytes there: PNG or WebP, an animated one too. */
  saveImage(file: string, bytes: Uint8Array, options: ImageOptions): Promise<FigurePicture>;
}

/** The model that figures show, as it was when it embedded the data sets. */
export interface Model {
  name: string;
  step: number;
  architecture: Architecture;
  weights: Weights;
  /** Name of the loss that it was trained with. */
  loss: LossName;
  /** Of its training; empty where there is none, as of the model that comes with the farm. */
  history: readonly HistoryEntry[];
}

/** Another model, whose training is compared. */
export type Rival = Pick<Model, "name" | "loss" | "history">;

/** What figures of a model are drawn from. */
export interface ModelDrawing extends Drawing, EmbeddedCity {
  model: Model;
  /** Further data sets, of the same channels and embedded by the same weights. */
  cities: readonly EmbeddedCity[];
  /** Models to compare the training with. */
  rivals: readonly Rival[];
}

/** A figure that was drawn; plain words, the page escapes them. */
export interface Drawn {
  /** What one sees. */
  caption: string;
  /** What to look for in it. */
  look: string;
  /** How it was made. */
  made: string;
  /** At least one. */
  pictures: readonly FigurePicture[];
}

/** Why a figure is left out: what it lacks, as a whole sentence. */
export interface Lack {
  lacks: string;
}

/** Draws one figure, its pictures into the atlas's folder. */
export interface FigureMaker<D extends Drawing> {
  /** Its anchor in the page; names of its files begin with it. */
  id: string;
  title: string;
  /** Which of Loc2Vec's figures it is: `5`, `18 and 19`; none of what that article has not. */
  number?: string;
  draw(drawing: D): Promise<Drawn | Lack>;
}

/** The location that figures show in place `i`: they begin anew where fewer are chosen. */
export function chosenAt({ chosen }: City, i: number): number {
  return chosen[i % chosen.length] as number;
}

/** A location in words: index, kind, and where it lies. */
export function placeText({ places: { lon, lat } }: City, location: number): string {
  return `${(lat[location] as number).toFixed(4)}, ${(lon[location] as number).toFixed(4)}`;
}
