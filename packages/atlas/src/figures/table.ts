import type { Drawing, FigureMaker, ModelDrawing } from "../drawing.ts";
import { arithmetic } from "./arithmetic.ts";
import { augmentations } from "./augmentations.ts";
import { channels } from "./channels.ts";
import { cities, city } from "./city.ts";
import { pcaCloud, tsneCloud, umapCloud } from "./clouds.ts";
import { filters } from "./filters.ts";
import { interpolation } from "./interpolation.ts";
import { locations } from "./locations.ts";
import { lookalikes } from "./lookalikes.ts";
import { modes } from "./modes.ts";
import { neighbours } from "./neighbours.ts";
import { numberMaps, numbers } from "./numbers.ts";
import { regions } from "./regions.ts";
import { saliencyFigure } from "./saliency.ts";
import { training } from "./training.ts";
import { triplets } from "./triplets.ts";
import { walks } from "./walks.ts";

/** Figures of a data set, in the order of the page. */
export const DATASET_FIGURES: readonly FigureMaker<Drawing>[] = [
  locations,
  augmentations,
  channels,
  triplets,
];

/** Figures of a model, which follow them: those of Loc2Vec in its order, and then those beyond it. */
export const MODEL_FIGURES: readonly FigureMaker<ModelDrawing>[] = [
  lookalikes,
  training,
  filters,
  pcaCloud,
  tsneCloud,
  umapCloud,
  modes,
  city,
  cities,
  walks,
  interpolation,
  arithmetic,
  neighbours,
  regions,
  numbers,
  numberMaps,
  saliencyFigure,
];
