import { redactText } from "./secrets.ts";

/** The classes of failure that a script can tell apart by exit code. */
export const EXIT_CODES = {
  /** A fault of the farm itself. */
  internal: 1,
  /** A wrong option, argument or setting. */
  usage: 2,
  /** An input file or value that cannot be used. */
  input: 3,
  /** Redis, PostgreSQL or the object store cannot be reached or refuses. */
  service: 4,
  /** Something that must be installed is missing. */
  missing: 5,
  /** Data that exists but is damaged or does not fit. */
  data: 6,
  /** Ctrl-C or SIGTERM; what was done is kept. */
  interrupted: 130,
} as const;

export type ErrorKind = keyof typeof EXIT_CODES;

/**
 * What a program can narrow on, `error.code === "map-mismatch"`, and the kind that each is of. Where no program needs to tell
 * one failure from the others of its kind, the kind itself is the code.
 */
export const ERROR_CODES = {
  internal: "internal",
  usage: "usage",
  input: "input",
  service: "service",
  missing: "missing",
  data: "data",
  interrupted: "interrupted",
  /** No map is imported, or it is of other rules than the profile's. */
  "map-missing": "input",
  /** One location cannot be used or rendered, whatever the others are like. */
  "location-unusable": "input",
  /** There is no data set of that name. */
  "dataset-missing": "input",
  /** There is no model of that name. */
  "model-missing": "input",
  /** A model's checkpoint of that step is not kept, or its best one cannot be told. */
  "checkpoint-missing": "data",
  /** The data set has not been embedded by that model. */
  "embeddings-missing": "input",
  /** Tiles would be drawn from another map than a data set's. */
  "map-mismatch": "data",
  /** Tiles would be drawn with another cartography, or by another renderer, than a data set's or a model's. */
  "cartography-mismatch": "data",
  /** A job is of another object store than the worker's. */
  "store-mismatch": "data",
  /** What has a data set's name now is not what was trained on or embedded, or not what is to be enqueued. */
  "dataset-mismatch": "data",
  /** A model was begun with other settings. */
  "settings-mismatch": "data",
  /** Shards of a data set are not rendered, or gone. */
  "shards-missing": "data",
  /** An object of the store is not what was written. */
  damaged: "data",
  /** Another process trains the model, or embeds with it. */
  "lease-held": "data",
  /** A training's loss, distances or gradients are no longer finite, or beyond all bounds. */
  exploded: "data",
  /** Redis cannot be reached, or refuses. */
  redis: "service",
  /** PostgreSQL cannot be reached, or refuses. */
  postgres: "service",
  /** The object store cannot be reached, or refuses. */
  "object-store": "service",
  /** This machine's clock and Redis's differ too much. */
  clock: "service",
  /** The native TensorFlow is not bound, does not load, or lacks what is asked of it. */
  "tensorflow-missing": "missing",
  /** The database has no PostGIS. */
  "postgis-missing": "missing",
  /** The database has no pgvector, or one that is too old. */
  "pgvector-missing": "missing",
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error meant for the user: one line that names the thing and the place, and one that says how to mend it.
 *
 * @example throw new FarmError("input", "locations.csv, row 7: latitude 91.2 is not within ±90", "swap the columns or drop the row")
 */
export class FarmError extends Error {
  override readonly name = "FarmError";
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  /** What the user can do about it; empty when there is nothing to say. */
  readonly mend: string;

  constructor(code: ErrorCode, message: string, mend = "", options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.kind = ERROR_CODES[code];
    this.mend = mend;
  }

  get exitCode(): number {
    return EXIT_CODES[this.kind];
  }

  /** One line: `what and where (mend: how)`. */
  get line(): string {
    return this.mend === "" ? this.message : `${this.message} (mend: ${this.mend})`;
  }
}

/** What is wrong with one location, whatever the others are like: it can be left out, and the rest be done. */
export class LocationError extends FarmError {
  constructor(message: string, mend = "", options?: ErrorOptions) {
    super("location-unusable", message, mend, options);
  }
}

/**
 * What lies between a job and this worker alone: another one, with the right map or object store, can do it. The job is left
 * for that one.
 */
export class MismatchError extends FarmError {
  constructor(
    code: Extract<ErrorCode, `${string}-mismatch`>,
    message: string,
    mend = "",
    options?: ErrorOptions,
  ) {
    super(code, message, mend, options);
  }
}

/**
 * The message of anything thrown, unwrapping AggregateError (which Node's network stack throws with an empty message).
 * Secrets in the messages of others are hidden.
 */
export function errorMessage(error: unknown): string {
  if (error instanceof FarmError) return error.line;
  if (error instanceof AggregateError && error.message === "" && error.errors.length > 0) {
    return errorMessage(error.errors[0]);
  }
  return redactText(error instanceof Error ? error.message : String(error));
}
