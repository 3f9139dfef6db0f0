import type { Drawing, FigureMaker, ModelDrawing } from "../drawing.ts";
import { augmentations } from "./augmentations.ts";
import { channels } from "./channels.ts";
import { cities, city } from "./city.ts";
import { locations } from "./locations.ts";
import { lookalikes } from "./lookalikes.ts";
import { neighbours } from "./neighbours.ts";
import { training } from "./training.ts";
import { triplets } from "./triplets.ts";

/** Figures of a data set, in the order of the page. */
export const DATASET_FIGURES: readonly FigureMaker<Drawing>[] = [
  locations,
  augmentations,
  channels,
  triplets,
];

/** Figures of a model, which follow them. */
export const MODEL_FIGURES: readonly FigureMaker<ModelDrawing>[] = [
  training,
  lookalikes,
  neighbours,
  city,
  cities,
];
