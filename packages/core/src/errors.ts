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
 * An error meant for the user: one line that names the thing and the place, and one that says how to mend it.
 *
 * @example throw new FarmError("input", "locations.csv, row 7: latitude 91.2 is not within ±90", "swap the columns or drop the row")
 */
export class FarmError extends Error {
  override readonly name = "FarmError";
  readonly kind: ErrorKind;
  /** What the user can do about it; empty when there is nothing to say. */
  readonly mend: string;

  constructor(kind: ErrorKind, message: string, mend = "", options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
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
export class LocationError extends FarmError {}

/**
 * What lies between a job and this worker alone: another one, with the right map or object store, can do it. The job is left
 * for that one.
 */
export class MismatchError extends FarmError {}

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
