import type { Drawing, FigureMaker, ModelDrawing } from "../drawing.ts";
import { arithmetic } from "./arithmetic.ts";
import { augmentations } from "./augmentations.ts";
import { channels } from "./channels.ts";
import { pcaCloud, tsneCloud, umapCloud } from "./clouds.ts";
import { filters } from "./filters.ts";
import { interpolation } from "./interpolation.ts";
import { locations } from "./locations.ts";
import { modes } from "./modes.ts";
import { neighbours } from "./neighbours.ts";
import { numberMaps, numbers } from "./numbers.ts";
import { regions } from "./regions.ts";
import { saliencyFigure } from "./saliency.ts";
import { triplets } from "./triplets.ts";
import { walks } from "./walks.ts";

/** Figures of a data set, in the order of the page. */
export const DATASET_FIGURES: readonly FigureMaker<Drawing>[] = [
  locations,
  augmentations,
  channels,
  triplets,
];

/** Figures of a model, which follow them. */
export const MODEL_FIGURES: readonly FigureMaker<ModelDrawing>[] = [
  neighbours,
  filters,
  pcaCloud,
  tsneCloud,
  umapCloud,
  modes,
  walks,
  interpolation,
  arithmetic,
  numbers,
  numberMaps,
  regions,
  saliencyFigure,
];
