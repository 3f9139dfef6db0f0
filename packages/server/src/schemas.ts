import { NAME } from "@loc2vec/core";
import { METHODS, PAGE_FILES, type PageFile } from "@loc2vec/explorer";
import { FILE_FORMATS, type FileFormatName } from "@loc2vec/exports";
import { z } from "zod";
import { MOST_LATITUDE, MOST_PLACES, MOST_ROWS } from "./limits.ts";

// What goes in and out over HTTP. Validation, types and the OpenAPI text all follow from here.

const lon = z
  .number()
  .min(-180)
  .max(180)
  .meta({ description: "Longitude, degrees, WGS 84", example: 24.9521 });
const lat = z
  .number()
  .min(-MOST_LATITUDE)
  .max(MOST_LATITUDE)
  .meta({ description: "Latitude, degrees, WGS 84", example: 60.1704 });
const location = z.int().min(0).meta({ description: "Number of a location of the data set, from 0" });
const count = z.int().min(1).max(MOST_ROWS);
const apart = z.number().min(0).max(20_040_000).default(0).meta({
  description:
    "Metres on the ground. Locations that do not lie farther than this from what is asked about, and from those found before, are left out: nearer ones show parts of the same map",
});
const nearest = count.default(10).meta({ description: "How many; fewer come back where there are no more" });
const vector = z.array(z.number()).meta({ description: "An embedding, float32" });
const label = z.string().optional().meta({ description: "As the list of locations had it" });

/** A spot on the map. */
export const spotSchema = z.strictObject({ lon, lat });
export type Spot = z.infer<typeof spotSchema>;

/** A spot, or a location of the data set. */
export const placeSchema = z.union([spotSchema, z.strictObject({ location })]);
export type PlaceAsked = z.infer<typeof placeSchema>;

export const embedBody = z.union([
  spotSchema,
  z.strictObject({ places: z.array(spotSchema).min(1).max(MOST_PLACES) }),
]);
export type EmbedBody = z.infer<typeof embedBody>;
export const embedAnswer = z.object({
  model: z.string(),
  step: z.int(),
  vectors: z.array(vector).meta({ description: "One for each spot, in their order" }),
});

export const predictParams = z.object({
  name: z.string().regex(NAME).meta({ description: "Of a probe that farm:probe saved", example: "price" }),
});
const classAnswer = z.object({
  class: z.string().meta({
    description:
      "The class that is likelier by the largest factor than it is usually, as the probe was judged",
  }),
  shares: z.record(z.string(), z.number()).meta({ description: "How likely each class is, 0 to 1" }),
});
const valueAnswer = z.object({
  value: z
    .number()
    .meta({ description: "In the unit of the labels, also where their logarithm was learned" }),
});
export const predictAnswer = z.object({
  probe: z.string(),
  meaning: z.string().meta({ description: "What is told", example: "price of lodging.csv" }),
  model: z.string(),
  labels: z.int().meta({ description: "That the probe learned from" }),
  score: z
    .object({ name: z.string(), mean: z.number(), low: z.number().nullable(), high: z.number().nullable() })
    .meta({ description: "How well others like it told ground that they had not seen, with the interval" }),
  predictions: z
    .array(z.union([classAnswer, valueAnswer]))
    .meta({ description: "One for each spot, in their order" }),
});

export const neighboursQuery = z.object({
  lon: lon.optional(),
  lat: lat.optional(),
  location: location.optional(),
  k: nearest,
  min_distance_m: apart,
});
const found = z.object({
  location,
  lon,
  lat: z.number(),
  label,
  distance: z.number().meta({ description: "Between the vectors, Euclidean" }),
});
export const neighboursAnswer = z.object({
  neighbours: z.array(
    found.extend({ metres: z.number().meta({ description: "On the ground, from what was asked about" }) }),
  ),
});

export const arithmeticBody = z.strictObject({
  a: placeSchema,
  b: placeSchema,
  c: placeSchema,
  k: nearest,
  min_distance_m: apart,
});
export const arithmeticAnswer = z.object({
  nearest: z.array(found).meta({ description: "To the vectors' a − b + c, none of the three" }),
});

export const venuesBody = z.strictObject({
  lon,
  lat,
  accuracy_m: z.number().min(1).max(1000).default(20).meta({
    description: "Standard deviation of the fix in each axis, metres; a phone's accuracy is 1.5 times that",
  }),
  hour: z
    .number()
    .min(0)
    .lt(24)
    .optional()
    .meta({ description: "Of the day, local time, where it is known" }),
  top: z.int().min(1).max(MOST_ROWS).default(5).meta({ description: "How many" }),
});
export const venuesAnswer = z.object({
  prior: z
    .object({ model: z.string(), visits: z.int() })
    .nullable()
    .meta({ description: "What classes are weighed by; null: distance alone" }),
  candidates: z.int().meta({ description: "Venues around the fix" }),
  venues: z.array(
    z.object({
      id: z.string().meta({ description: "Of the OSM object" }),
      class: z.string(),
      name: z.string().optional(),
      lon,
      lat: z.number(),
      metres: z.number().meta({ description: "On the ground, from the fix to the venue's outline" }),
      probability: z.number().meta({ description: "Of all candidates together 1" }),
      by_distance: z.number().meta({ description: "What it would be by distance alone" }),
    }),
  ),
});

export const walkQuery = z.object({
  location,
  jumps: count.default(10),
  among: count.default(10).meta({ description: "Of how many nearest locations the next one is drawn" }),
  min_distance_m: apart,
  seed: z.int().min(0).default(0).meta({ description: "The same seed draws the same walk" }),
});
export const walkAnswer = z.object({
  walk: z.array(
    found.extend({ metres: z.number().meta({ description: "On the ground, from the one before" }) }),
  ),
});

export const locationParams = z.object({ location });
export const locationAnswer = z.object({
  location,
  lon,
  lat: z.number(),
  kind: z.string(),
  label,
  vector,
});

const FORMATS = Object.keys(FILE_FORMATS) as [FileFormatName, ...FileFormatName[]];
export const exportQuery = z.object({
  format: z.enum(FORMATS).default("csv"),
  // A single number reads as one.
  locations: z.union([z.int().min(0), z.string().regex(/^\d{1,9}(,\d{1,9})*$/)]).meta({
    description: `Numbers of locations with commas between, ${MOST_ROWS} at most`,
    example: "0,1,2",
  }),
});

export const tileParams = z.object({
  z: z.int().min(10).max(19),
  x: z
    .int()
    .min(0)
    .max(2 ** 19 - 1),
  y: z
    .int()
    .min(0)
    .max(2 ** 19 - 1),
});

const box = z.array(z.number()).length(4).meta({ description: "West, south, east, north, degrees, WGS 84" });
export const modelAnswer = z.object({
  model: z.string(),
  step: z.int(),
  architecture: z.string(),
  turns: z.int().meta({ description: "Of a tile, over which its vector is averaged" }),
  size: z.int().meta({ description: "Numbers of a vector" }),
  channels: z.array(z.string()),
  dataset: z.string(),
  n: z.int().meta({ description: "Locations of the data set" }),
  map: z.object({ name: z.string(), box }),
  attribution: z.string(),
});

export const healthAnswer = z.object({ ok: z.boolean(), reason: z.string().optional() });

export const refusal = z.object({
  error: z.object({
    code: z.string().meta({ description: "What a program can narrow on" }),
    message: z.string(),
    mend: z.string().meta({ description: "What can be done about it; empty when there is nothing to say" }),
    field: z.string().optional().meta({ description: "Where the input is at fault" }),
    box: box.optional().meta({ description: "Of the map, where a spot lies beyond it" }),
  }),
});
export type Refusal = z.infer<typeof refusal>["error"];

export const lookQuery = z.object({
  location: location.optional(),
  lon: lon.optional(),
  lat: lat.optional(),
});
export const methodParams = z.object({ method: z.enum(METHODS) });
export const sheetParams = z.object({ sheet: z.int().min(0) });
export const pageParams = z.object({ file: z.enum(PAGE_FILES as [PageFile, ...PageFile[]]) });
export const arrangingAnswer = z.object({
  stage: z.enum(["waiting", "arranging", "placing"]),
  share: z.number().meta({ description: "Done of the stage, 0 to 1" }),
});

/** An answer that is no JSON. */
const other = (type: string) => ({ content: { [type]: { schema: z.any() } } });
export const fileAnswer = {
  description: "A file",
  content: Object.fromEntries(
    Object.values(FILE_FORMATS).map(({ mediaType }) => [mediaType, { schema: z.any() }]),
  ),
};
export const pngAnswer = { description: "A picture", ...other("image/png") };
export const webpAnswer = { description: "A picture", ...other("image/webp") };
export const tensorsAnswer = {
  description: "Columns of numbers, safetensors",
  ...other("application/octet-stream"),
};
export const textAnswer = { description: "In Prometheus' text format", ...other("text/plain") };
