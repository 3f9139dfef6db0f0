import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { errorMessage, FarmError } from "@loc2vec/core";
import { canonicalJson } from "@loc2vec/numeric";
import { parse } from "yaml";
import { z } from "zod";

/** Per key the values that match, or `true` for any value other than `no`. All keys must match. */
export type TagMatch = Readonly<Record<string, true | readonly string[]>>;

/** A line around something. Width in metres on the ground, intensity 0–255. */
export interface Stroke {
  readonly width: number;
  readonly intensity: number;
}

/** How the features of a line rule are drawn. Lengths in metres on the ground, intensity 0–255. */
export interface LineDraw extends Stroke {
  /** Drawn first, under every line of the rule; `width` is the full width, so wider than the line's own. */
  readonly casing?: Stroke | undefined;
  /** Lengths of dash and gap, metres. Absent: solid. */
  readonly dash?: readonly [number, number] | undefined;
  /** Ends of the line. */
  readonly cap: "round" | "butt";
}

/** How the features of a polygon rule are filled. `outline` is drawn over the fill, centred on the edge. */
export interface PolygonDraw {
  readonly intensity: number;
  readonly outline?: Stroke | undefined;
}

/** How the features of a point rule are drawn: a disc of `radius` metres; `outline` is centred on its edge. */
export interface PointDraw {
  readonly radius: number;
  readonly intensity: number;
  readonly outline?: Stroke | undefined;
}

interface RuleBase {
  /** Number of the rule over all channels, in the file's order: the `rule` column of `farm.feature` (smallint). */
  readonly index: number;
  /** Unique in the profile. */
  readonly id: string;
  /** Objects that match … The first key also decides whether a closed way is an area (see `styles/osm2pgsql.lua`). */
  readonly match: TagMatch;
  /** … unless any key of this matches. */
  readonly except: TagMatch;
  /** Which kind of location may be sampled from the features of this rule. */
  readonly sample?: "visit" | "transport" | undefined;
  /** How one travels along features of this rule: the label of transport that is sampled from them. It changes no hash. */
  readonly mode?: string | undefined;
}

/** What is drawn, from which objects. Later rules of a channel are drawn over earlier ones. */
export type Rule = RuleBase &
  (
    | {
        readonly geometry: "line";
        /** Takes relations too, by their member ways (borders of areas, courses of routes), and closed ways as rings. */
        readonly members: boolean;
        readonly draw: LineDraw;
      }
    | { readonly geometry: "polygon"; readonly draw: PolygonDraw }
    | { readonly geometry: "point"; readonly draw: PointDraw }
  );

export interface Channel {
  readonly name: string;
  readonly title: string;
  /** For pictures that people look at; each 0–255. */
  readonly colour: readonly [number, number, number];
  /** Order of the channels in such pictures: higher lies over lower. */
  readonly z: number;
  readonly rules: readonly Rule[];
}

/** The cartography: which objects go into which channel of a tile, and how they are drawn. */
export interface Profile {
  readonly name: string;
  readonly version: number;
  /** In the order of a tile's channels. */
  readonly channels: readonly Channel[];
  /** Tags that are kept as labels, matched one by one (any one suffices). */
  readonly labels: TagMatch;
  /** Classes of labelled places, by name: any one key suffices. What a model is asked for that never saw them drawn. */
  readonly venues: Readonly<Record<string, TagMatch>>;
  /** Classes of ground that one can be on, such as a beach, by name: ids of the rules of polygons that draw it. */
  readonly grounds: Readonly<Record<string, readonly string[]>>;
  /** SHA-256 (hex) of everything that affects pixels: two profiles with the same hash draw the same tiles. */
  readonly hash: string;
  /** SHA-256 (hex) of what affects the import. Widths, intensities, titles and colours do not. */
  readonly importHash: string;
}

const identifier = z.string().regex(/^[a-z][a-z0-9_]*$/, "use a-z, 0-9, _ and start with a letter");
const values = z.union([
  z.string().transform((value) => (value === "*" ? (true as const) : [value])),
  z.array(z.string()).min(1),
]);
const tagMatch = z
  .record(z.string().min(1), values)
  .refine((match) => Object.keys(match).length > 0, "must name at least one key");
const intensity = z.int().min(0).max(255);
const metres = z.number().positive().max(200);
const stroke = z.strictObject({ width: metres, intensity });
const ruleBase = {
  id: identifier,
  match: tagMatch,
  except: tagMatch.optional(),
  sample: z.enum(["visit", "transport"]).optional(),
  mode: z
    .string()
    .regex(/^[a-z]+( [a-z]+)*$/, "use words of a-z")
    .optional(),
};
const ruleSchema = z.discriminatedUnion("geometry", [
  z.strictObject({
    ...ruleBase,
    geometry: z.literal("line"),
    members: z.boolean().default(false),
    draw: z.strictObject({
      width: metres,
      intensity,
      casing: stroke.optional(),
      dash: z.tuple([metres, metres]).optional(),
      cap: z.enum(["round", "butt"]).default("round"),
    }),
  }),
  z.strictObject({
    ...ruleBase,
    geometry: z.literal("polygon"),
    draw: z.strictObject({ intensity, outline: stroke.optional() }),
  }),
  z.strictObject({
    ...ruleBase,
    geometry: z.literal("point"),
    draw: z.strictObject({ radius: metres, intensity, outline: stroke.optional() }),
  }),
]);
const profileSchema = z.strictObject({
  name: identifier,
  version: z.int().min(1),
  channels: z
    .array(
      z.strictObject({
        name: identifier,
        title: z.string().min(1),
        colour: z.tuple([intensity, intensity, intensity]),
        z: z.int(),
        rules: z.array(ruleSchema).min(1),
      }),
    )
    .min(1),
  labels: tagMatch,
  venues: z.record(identifier, tagMatch).default({}),
  grounds: z.record(identifier, z.array(identifier).min(1)).default({}),
});

/**
 * Reads and checks a channel profile (YAML).
 *
 * @throws FarmError `input` naming the file, and the channel and rule at fault where there is one
 */
export async function loadProfile(path: string): Promise<Profile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new FarmError("input", `${path}: ${errorMessage(error)}`, "FARM_STYLE names the channel profile");
  }
  return parseProfile(text, basename(path));
}

/** As {@link loadProfile}, from text; `file` is the name for messages. */
export function parseProfile(text: string, file: string): Profile {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new FarmError("input", `${file}: not YAML: ${errorMessage(error).split("\n")[0]}`);
  }
  const parsed = profileSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new FarmError("input", `${file}${place(raw, issue?.path ?? [])}: ${issue?.message}`);
  }
  const { name, version, labels, venues, grounds } = parsed.data;
  unique(
    parsed.data.channels.map((channel) => channel.name),
    (dup) => `${file}: two channels are called ${dup}`,
  );
  unique(
    parsed.data.channels.flatMap((channel) => channel.rules.map((rule) => rule.id)),
    (dup) => `${file}: two rules have the id ${dup}`,
  );
  let index = 0;
  const channels: Channel[] = parsed.data.channels.map((channel) => ({
    ...channel,
    rules: channel.rules.map((rule): Rule => ({ ...rule, except: rule.except ?? {}, index: index++ })),
  }));
  checkModes(channels, file);
  checkGrounds(grounds, venues, channels, file);
  if (index > 32767) throw new FarmError("input", `${file}: ${index} rules, more than 32767`);
  const rules = channels.flatMap((channel, at) =>
    channel.rules.map((rule) => ({ at, first: Object.keys(rule.match)[0], members: false, ...rule })),
  );
  const matching = ({ at, geometry, members, first, match, except }: (typeof rules)[number]) => [
    at,
    geometry,
    members,
    first,
    match,
    except,
  ];
  return {
    name,
    version,
    channels,
    labels,
    venues,
    grounds,
    hash: sha256(
      channels.map((channel) => channel.name),
      rules.map((rule) => [...matching(rule), rule.draw]),
    ),
    importHash: sha256(
      channels.map((channel) => channel.name),
      rules.map((rule) => [...matching(rule), rule.sample]),
      labels,
    ),
  };
}

/** @throws FarmError `input` for a mode of a rule that no transport is sampled from */
function checkModes(channels: readonly Channel[], file: string): void {
  for (const { name, rules } of channels)
    for (const { id, mode, sample } of rules) {
      if (mode === undefined || sample === "transport") continue;
      throw new FarmError(
        "input",
        `${file}, channel ${name}, rule ${id}, mode: nothing travels along it`,
        "add sample: transport, or take the mode out",
      );
    }
}

/** @throws FarmError `input` for a class of ground that has the name of one of venues, or names no rule of polygons */
function checkGrounds(
  grounds: Profile["grounds"],
  venues: Profile["venues"],
  channels: readonly Channel[],
  file: string,
): void {
  const polygons = channels.flatMap(({ rules }) =>
    rules.flatMap(({ id, geometry }) => (geometry === "polygon" ? [id] : [])),
  );
  for (const [name, ids] of Object.entries(grounds)) {
    if (name in venues)
      throw new FarmError(
        "input",
        `${file}, grounds, ${name}: venues have a class of that name`,
        "rename one",
      );
    const unknown = ids.find((id) => !polygons.includes(id));
    if (unknown !== undefined)
      throw new FarmError(
        "input",
        `${file}, grounds, ${name}: there is no rule ${unknown} of polygons`,
        "name the id of a rule whose geometry is polygon",
      );
  }
}

function unique(names: readonly string[], message: (duplicate: string) => string): void {
  const duplicate = names.find((name, at) => names.indexOf(name) !== at);
  if (duplicate !== undefined) throw new FarmError("input", message(duplicate));
}

/** `, channel rail, rule tram, draw.width` for a path into the raw document. */
function place(raw: unknown, path: readonly PropertyKey[]): string {
  let at: unknown = raw;
  let words = "";
  const rest: string[] = [];
  for (const [depth, key] of path.entries()) {
    at = at !== null && typeof at === "object" ? (at as Record<PropertyKey, unknown>)[key] : undefined;
    const named = at as { name?: unknown; id?: unknown } | null | undefined;
    if (depth === 1 && path[0] === "channels") words += `, channel ${named?.name ?? Number(key) + 1}`;
    else if (depth === 3 && path[2] === "rules") words += `, rule ${named?.id ?? Number(key) + 1}`;
    else if (
      !(
        (depth === 0 && key === "channels" && path.length > 1) ||
        (depth === 2 && key === "rules" && path.length > 3)
      )
    )
      rest.push(String(key));
  }
  return rest.length > 0 ? `${words}, ${rest.join(".")}` : words;
}

/** The order in which keys of objects are written does not count (a match's first key does: `first`). */
function sha256(...parts: readonly unknown[]): string {
  return createHash("sha256").update(canonicalJson(parts)).digest("hex");
}
