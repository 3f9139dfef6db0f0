/** A location of the data set, or any spot of the map, degrees, WGS 84. */
export type Spot = { location: number } | { lon: number; lat: number };

export const ARRANGEMENTS = ["pca", "tsne", "umap"] as const;
export type ArrangementName = (typeof ARRANGEMENTS)[number];
export const TOOLS = ["look", "box", "lasso"] as const;
export type Tool = (typeof TOOLS)[number];
export const STRIPS = ["neighbours", "calculator", "way", "walk", "selection"] as const;
export type StripName = (typeof STRIPS)[number];

/** All that is looked at: it stands in the page's address, so that a reload or a link shows the same. */
export interface State {
  /** `pca`, `kind`, `region`, `label`, or a number of the vector from 0 on: `v3`. */
  colour: string;
  /** Shown alone; empty: all. */
  kind: string;
  label: string;
  /** Shown alone within so many metres of the focus; 0: all. */
  within: number;
  arrangement: ArrangementName;
  focus: Spot | undefined;
  /** Locations, ascending. */
  selection: readonly number[];
  tool: Tool;
  sprites: boolean;
  strip: StripName;
  /** Neighbours to show, and how far apart they lie at least, metres. */
  k: number;
  apart: number;
  a: Spot | undefined;
  b: Spot | undefined;
  c: Spot | undefined;
  /** From a (0) to b (1). */
  way: number;
  seed: number;
  /** Longitude, latitude, zoom. */
  map: readonly number[];
  /** Where the eye is, and what it looks at: six numbers. */
  eye: readonly number[];
}

export const INITIAL: State = {
  ...{ colour: "pca", kind: "", label: "", within: 0, arrangement: "pca", focus: undefined, selection: [] },
  ...{ tool: "look", sprites: true, strip: "neighbours", k: 12, apart: 0 },
  ...{ a: undefined, b: undefined, c: undefined, way: 0.5, seed: 1, map: [], eye: [] },
};

const writeSpot = (spot: Spot | undefined): string => {
  if (spot === undefined) return "";
  return "location" in spot ? `${spot.location}` : `${spot.lon.toFixed(6)},${spot.lat.toFixed(6)}`;
};

function readSpot(text: string): Spot | undefined {
  const [first, second] = text.split(",").map(Number);
  if (text === "" || first === undefined || !Number.isFinite(first)) return undefined;
  if (second === undefined) return Number.isInteger(first) && first >= 0 ? { location: first } : undefined;
  return Number.isFinite(second) ? { lon: first, lat: second } : undefined;
}

/** Ascending numbers as runs: `3-7.12`. */
function writeRows(rows: readonly number[]): string {
  const runs: string[] = [];
  for (let i = 0; i < rows.length; ) {
    let end = i;
    while (end + 1 < rows.length && rows[end + 1] === (rows[end] as number) + 1) end++;
    runs.push(end === i ? `${rows[i]}` : `${rows[i]}-${rows[end]}`);
    i = end + 1;
  }
  return runs.join(".");
}

function readRows(text: string, most: number): number[] {
  const rows = new Set<number>();
  for (const run of text === "" ? [] : text.split(".")) {
    const [first = Number.NaN, last = first] = run.split("-").map(Number);
    if (!(Number.isInteger(first) && Number.isInteger(last) && first >= 0)) continue;
    for (let row = first; row <= Math.min(last, most - 1); row++) rows.add(row);
  }
  return [...rows].sort((x, y) => x - y);
}

/** How each part is written and read; what cannot be read stays as it is at first. */
const CODES: {
  [K in keyof State]: {
    write(value: State[K]): string;
    read(text: string, locations: number): State[K] | undefined;
  };
} = {
  colour: text(/^(pca|kind|region|label|v\d+)$/),
  kind: text(/^.*$/),
  label: text(/^.*$/s),
  within: number(0, 1e7),
  arrangement: text(/^(pca|tsne|umap)$/) as never,
  focus: { write: writeSpot, read: readSpot },
  selection: { write: writeRows, read: readRows },
  tool: text(/^(look|box|lasso)$/) as never,
  sprites: { write: (on) => (on ? "on" : "off"), read: (written) => written !== "off" },
  strip: text(/^(neighbours|calculator|way|walk|selection)$/) as never,
  k: number(1, 200),
  apart: number(0, 1e7),
  a: { write: writeSpot, read: readSpot },
  b: { write: writeSpot, read: readSpot },
  c: { write: writeSpot, read: readSpot },
  way: number(0, 1),
  seed: number(0, 2 ** 31),
  map: numbers(3),
  eye: numbers(6),
};

function text(pattern: RegExp) {
  return {
    write: (value: string) => value,
    read: (written: string) => (pattern.test(written) ? written : undefined),
  };
}

function number(least: number, most: number) {
  const read = (written: string): number | undefined => {
    const value = Number(written);
    return written !== "" && value >= least && value <= most ? value : undefined;
  };
  return { write: String, read };
}

function numbers(count: number) {
  const read = (written: string): number[] | undefined => {
    const values = written.split(",").map(Number);
    return values.length === count && values.every(Number.isFinite) ? values : undefined;
  };
  return {
    write: (values: readonly number[]) => values.map((value) => Number(value.toFixed(5))).join(","),
    read,
  };
}

const KEYS = Object.keys(CODES) as (keyof State)[];

/** What differs from the first state, as it stands behind the # of the address. */
export function writeState(state: State): string {
  const parameters = new URLSearchParams();
  for (const key of KEYS) {
    const written = CODES[key].write(state[key] as never);
    if (written !== CODES[key].write(INITIAL[key] as never)) parameters.set(key, written);
  }
  return parameters.toString();
}

/** @param locations of the data set: what is beyond is left out */
export function readState(hash: string, locations: number): State {
  const state: Record<string, unknown> = { ...INITIAL };
  for (const [key, written] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!KEYS.includes(key as keyof State)) continue;
    const value = CODES[key as keyof State].read(written, locations);
    if (value !== undefined) state[key] = value;
  }
  for (const key of ["focus", "a", "b", "c"] as const) {
    const spot = state[key] as Spot | undefined;
    if (spot !== undefined && "location" in spot && spot.location >= locations) state[key] = undefined;
  }
  return state as unknown as State;
}

export interface Store {
  readonly state: State;
  set(change: Partial<State>): void;
  /** Called at once, and whenever one of the keys has changed. */
  watch(keys: readonly (keyof State)[], listener: (state: State) => void): void;
}

const PAUSE_MS = 200;

/** Keeps the state, and writes it into the address a moment after it has changed. */
export function createStore(locations: number): Store {
  let state = readState(location.hash, locations);
  const watchers: { keys: readonly (keyof State)[]; listener: (state: State) => void }[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const apply = (next: State): void => {
    const changed = KEYS.filter((key) => next[key] !== state[key]);
    state = next;
    for (const { keys, listener } of watchers) if (keys.some((key) => changed.includes(key))) listener(state);
  };
  const write = (): void => history.replaceState(null, "", `#${writeState(state)}`);
  addEventListener("hashchange", () => apply(readState(location.hash, locations)));
  addEventListener("pagehide", write);
  return {
    get state() {
      return state;
    },
    set(change) {
      apply({ ...state, ...change });
      clearTimeout(timer);
      timer = setTimeout(write, PAUSE_MS);
    },
    watch(keys, listener) {
      watchers.push({ keys, listener });
      listener(state);
    },
  };
}
