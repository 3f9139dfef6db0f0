import { FarmError } from "@loc2vec/core";
import { z } from "zod";

/** What a schema does not say of a setting. */
export interface About {
  /** Its option on the command line, `--pairs`. */
  flag: string;
  /** One line for people. */
  help: string;
  /** Where it has one; also what the option's value is called. */
  unit?: "metres" | "seconds" | "steps";
  /** What the option's value is called where it has no unit. Default `n`. */
  value?: string;
  /** Names that a setting which is JSON on the command line takes, too. */
  names?: readonly string[];
  /** What applies where it is left out, in words, for a setting without a default. */
  otherwise?: string;
  /** What trainings did before there was this setting: their checkpoints do not hold it. */
  before?: unknown;
  /** False: `farm enqueue` does not have the option for the training that it queues. */
  enqueue?: false;
}

/** A setting: its entry in the schema, found by walking it. */
export interface Knob extends About {
  /** Where it stands in the recipe, `["batch", "pairs"]`. */
  path: readonly string[];
  schema: z.ZodType;
  /** Its default, as it is written in the schema; undefined where it has none. */
  standard: unknown;
}

const ABOUT = z.registry<About>();

/** An entry of a recipe's schema. */
export function knob<S extends z.ZodType>(schema: S, about: About): S {
  ABOUT.add(schema, about);
  return schema;
}

/** Entries that belong together; a recipe may leave them all out. */
export function group<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape).prefault({} as never);
}

/** The schema without what says that it may be left out. */
function bare(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
    ? bare(schema.unwrap() as z.ZodType)
    : schema;
}

/** Every setting of a schema, in its order. */
export function knobsOf(shape: z.ZodRawShape, above: readonly string[] = []): Knob[] {
  return Object.entries(shape as Record<string, z.ZodType>).flatMap(([name, schema]): Knob[] => {
    const path = [...above, name];
    const about = ABOUT.get(schema);
    if (about !== undefined) return [{ ...about, path, schema, standard: standardOf(schema) }];
    const inner = bare(schema);
    if (inner instanceof z.ZodObject) return knobsOf(inner.shape, path);
    throw new FarmError("internal", `setting ${path.join(".")} has no flag and no help`, "describe it");
  });
}

function standardOf(schema: z.ZodType): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
    ? schema.def.defaultValue
    : undefined;
}

/**
 * A schema's entries as a checkpoint keeps them: nothing is left out, but for what trainings did not have yet when it was
 * written, which becomes what they did.
 */
export function keptShape(shape: z.ZodRawShape): z.ZodRawShape {
  const kept = (schema: z.ZodType): z.ZodType => {
    const about = ABOUT.get(schema);
    const inner = bare(schema);
    if (about === undefined && inner instanceof z.ZodObject)
      return z.object(keptShape(inner.shape)).prefault({});
    return about?.before === undefined ? inner : inner.default(about.before as never);
  };
  return Object.fromEntries(
    Object.entries(shape as Record<string, z.ZodType>).map(([name, schema]) => [name, kept(schema)]),
  );
}

/** What of JSON Schema the settings need. */
interface Form {
  type?: string;
  enum?: string[];
  const?: string;
  anyOf?: Form[];
  properties?: Record<string, Form>;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

const formOf = (schema: z.ZodType): Form =>
  z.toJSONSchema(bare(schema), { io: "input", unrepresentable: "any" }) as Form;

/** The words that a number's place may be taken by, and the number's own form. */
function wordsOf({ anyOf, ...form }: Form): { words: string[]; form: Form } {
  const numeric = anyOf?.find(({ type }) => type === "integer" || type === "number");
  return { words: anyOf?.flatMap((each) => each.const ?? []) ?? [], form: numeric ?? form };
}

/** The names that a setting takes, if it takes nothing else; none for any other. */
export function choicesOf({ schema }: Pick<Knob, "schema">): string[] {
  return formOf(schema).enum ?? [];
}

/** What a setting may be, for people: `a whole number, 2 to 1000`. */
export function rangeOf({ schema, names }: Pick<Knob, "schema" | "names">): string {
  const { words, form } = wordsOf(formOf(schema));
  const choices = names === undefined ? (form.enum ?? []) : [...names, "JSON"];
  if (choices.length > 0) return choices.join(", ").replace(/, (?=[^,]*$)/, " or ");
  if (form.type === "boolean") return "yes or no";
  if (form.properties !== undefined) {
    const fields = Object.entries(form.properties);
    return `${fields.length} numbers by commas (${fields.map(([name]) => name).join(", ")}), each ${spanOf(fields[0]?.[1] ?? {})}`;
  }
  if (form.type === "string") return "a name";
  const span = spanOf(form);
  const what = form.type === "integer" ? "a whole number" : "a number";
  return [/^\d/.test(span) ? `${what}, ${span}` : `${what} ${span}`, ...words].join(", or ");
}

function spanOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Form): string {
  const low = minimum === undefined ? `above ${exclusiveMinimum}` : `${minimum}`;
  if (exclusiveMaximum !== undefined) return `${low} to less than ${exclusiveMaximum}`;
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) return `${low} to ${maximum}`;
  return minimum === undefined ? low : `${low} or more`;
}

/** A setting's option with the name of its value: `--min-distance <metres>`. */
export function usageOf(one: Knob): string {
  if (formOf(one.schema).type === "boolean") return one.flag;
  return `${one.flag} <${one.unit ?? one.value ?? "n"}>`;
}

/** What applies where a setting is left out, for people; empty where nothing does. */
export function standardText({
  standard,
  otherwise = "",
}: Partial<Pick<Knob, "standard" | "otherwise">>): string {
  if (standard === undefined) return otherwise;
  return typeof standard === "object" && standard !== null
    ? Object.values(standard).join()
    : String(standard);
}

/**
 * Reads a setting's value as the command line has it: a number, a word or name, numbers by commas, JSON.
 *
 * @throws FarmError `usage` saying what it must be
 */
export function readKnob(one: Knob, text: string): unknown {
  const refuse = (why: string): FarmError => new FarmError("usage", why, `see ${one.flag} in --help`);
  const { words, form } = wordsOf(formOf(one.schema));
  let value: unknown = text;
  if (words.includes(text)) value = text;
  else if (form.type === "integer") value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  else if (form.type === "number") value = numberOf(text);
  else if (form.properties !== undefined) {
    const names = Object.keys(form.properties);
    const values = text.split(",").map(numberOf);
    if (values.length !== names.length) throw refuse(`must be ${rangeOf(one)}`);
    value = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  } else if (one.names !== undefined && !one.names.includes(text)) {
    try {
      value = JSON.parse(text);
    } catch {
      throw refuse(`must be ${rangeOf(one)}`);
    }
  }
  const parsed = bare(one.schema).safeParse(value);
  if (parsed.success) return value;
  const { path, message } = explain(parsed.error.issues[0] as z.core.$ZodIssue);
  throw refuse(
    one.names === undefined
      ? `must be ${rangeOf(one)}`
      : [path.join("."), message].filter(Boolean).join(": "),
  );
}

const numberOf = (text: string): number => (text.trim() === "" ? Number.NaN : Number(text));

/** What an issue is about: of a field that there is not, that field. */
export function explain(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string } {
  if (issue.code === "unrecognized_keys")
    return { path: [...issue.path, issue.keys[0] as string], message: "there is no such setting" };
  return { path: issue.path, message: issue.message };
}
