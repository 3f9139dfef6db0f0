import { distanceM, Purpose, randomOf } from "@loc2vec/core";
import { analogy, type Neighbour, type Term, walk } from "@loc2vec/space";
import { colourPoints, type Legend } from "./colours.ts";
import type { Points } from "./points.ts";
import { createSignal, type Signal } from "./signal.ts";
import type { Look, Source } from "./source.ts";
import type { Spot, State, Store } from "./state.ts";

/** What is looked at. */
export interface Focus extends Look {
  spot: Spot;
  /** Undefined for a spot that is none of the points. */
  point: number | undefined;
  lon: number;
  lat: number;
}

/** A point that was found, and how far it is from what was asked about, or from the one before. */
export interface Found {
  point: number;
  /** Euclidean, in the space of the vectors. */
  distance: number | undefined;
  /** On the ground. */
  metres: number | undefined;
}

/** What the strip shows. */
export interface Findings {
  found: readonly Found[];
  /** Whether they follow one another. */
  path: boolean;
  /** What is missing for anything to be found; empty where nothing is. */
  hint: string;
}

/** How points look: uint8 [n, 4], red, green, blue, and 255 for what is shown in full, 1 for what is faint, 0 for what is not shown. */
export interface Appearance {
  rgba: Uint8Array;
  legend: Legend;
}

/** The state, and what follows from it. */
export interface Session {
  readonly points: Points;
  readonly source: Source;
  readonly store: Store;
  readonly hover: Signal<number | undefined>;
  readonly focus: Signal<Focus | undefined>;
  readonly findings: Signal<Findings>;
  /** 1 for each point that the filters leave. */
  readonly visible: Signal<Uint8Array>;
  readonly appearance: Signal<Appearance>;
  /** Said to the user, by a screen reader too. */
  readonly message: Signal<string>;
  /** Looks at a point. */
  focusPoint(point: number): void;
  spotOf(point: number): Spot;
  /** What a spot is called. */
  nameOf(spot: Spot): string;
}

const JUMPS = 12;
const AMONG = 10;

export function createSession(points: Points, source: Source, store: Store): Session {
  const focus = createSignal<Focus | undefined>(undefined);
  const visible = createSignal(new Uint8Array(points.n).fill(1));
  const findings = createSignal<Findings>({ found: [], path: false, hint: "" });
  const message = createSignal("");
  const session: Session = {
    ...{ points, source, store, focus, visible, findings, message },
    hover: createSignal<number | undefined>(undefined),
    appearance: createSignal<Appearance>({
      rgba: new Uint8Array(4 * points.n),
      legend: { title: "", entries: [] },
    }),
    focusPoint: (point) => store.set({ focus: { location: points.row[point] as number } }),
    spotOf: (point) => ({ location: points.row[point] as number }),
    nameOf: (spot) =>
      "location" in spot ? `Location ${spot.location}` : `${spot.lon.toFixed(5)}, ${spot.lat.toFixed(5)}`,
  };
  const vectors = createVectors(session);
  follow(session);
  paint(session);
  let turn = 0;
  const find = async (): Promise<void> => {
    const own = ++turn;
    const found = await findingsOf(session, vectors).catch((error: Error) => {
      return { found: [], path: false, hint: error.message };
    });
    if (own === turn) findings.set(found);
  };
  focus.watch(() => void find());
  visible.watch(() => void find());
  store.watch(["strip", "k", "apart", "a", "b", "c", "way", "seed", "selection"], () => void find());
  return session;
}

/** Keeps what is looked at, and what the filters leave, in step with the state. */
function follow({ points, source, store, focus, visible, message, nameOf }: Session): void {
  let turn = 0;
  store.watch(["focus"], async ({ focus: spot }) => {
    const own = ++turn;
    if (spot === undefined) return focus.set(undefined);
    const point = "location" in spot ? points.pointOf(spot.location) : undefined;
    if ("location" in spot && point === undefined)
      return message.set(`Location ${spot.location} is not among the points of this page.`);
    if ("lon" in spot && source.look === undefined)
      return message.set("Without a server only locations can be looked at.");
    const place = (): { lon: number; lat: number } =>
      "lon" in spot
        ? spot
        : { lon: points.lon[point as number] as number, lat: points.lat[point as number] as number };
    // Its vector is there already: neighbours need not wait for its picture.
    if (point !== undefined) focus.set({ spot, point, ...place(), vector: points.neighbours.vector(point) });
    try {
      const look = await source.look?.(spot);
      if (own !== turn) return;
      if (look !== undefined) focus.set({ spot, point, ...place(), ...look });
      message.set(`Looking at ${nameOf(spot)}.`);
    } catch (error) {
      if (own === turn) message.set((error as Error).message);
    }
  });
  const filter = (): void => visible.set(visibleOf(points, store.state, focus.value));
  store.watch(["kind", "label", "within"], filter);
  focus.watch(() => store.state.within > 0 && filter());
}

function visibleOf(
  points: Points,
  { kind, label, within }: State,
  focus: Focus | undefined,
): Uint8Array<ArrayBuffer> {
  const mask = new Uint8Array(points.n);
  const wanted = [points.about.kinds.indexOf(kind), points.about.labels.indexOf(label)] as const;
  for (let point = 0; point < points.n; point++) {
    if (kind !== "" && points.kind[point] !== wanted[0]) continue;
    if (label !== "" && points.label[point] !== wanted[1]) continue;
    const here = { lon: points.lon[point] as number, lat: points.lat[point] as number };
    if (within > 0 && focus !== undefined && distanceM(here, focus) > within) continue;
    mask[point] = 1;
  }
  return mask;
}

/** Colours every point, and takes back what is not selected or not shown. */
function paint({ points, store, visible, appearance }: Session): void {
  let colour = "";
  let painted: ReturnType<typeof colourPoints> = {
    rgb: new Uint8Array(),
    legend: { title: "", entries: [] },
  };
  const apply = (): void => {
    if (store.state.colour !== colour) painted = colourPoints(points, store.state.colour);
    colour = store.state.colour;
    const chosen = new Set(store.state.selection);
    const rgba = new Uint8Array(4 * points.n);
    for (let point = 0; point < points.n; point++) {
      rgba.set(painted.rgb.subarray(3 * point, 3 * point + 3), 4 * point);
      const full = chosen.size === 0 || chosen.has(points.row[point] as number);
      rgba[4 * point + 3] = visible.value[point] === 0 ? 0 : full ? 255 : 1;
    }
    appearance.set({ rgba, legend: painted.legend });
  };
  visible.watch(apply);
  store.watch(["colour", "selection"], apply);
}

/** Vectors of spots, each asked for once. */
function createVectors({ points, source }: Session): (spot: Spot) => Promise<Term> {
  const known = new Map<string, Promise<Term>>();
  return (spot) => {
    const point = "location" in spot ? points.pointOf(spot.location) : undefined;
    if (point !== undefined) return Promise.resolve(point);
    const key = JSON.stringify(spot);
    const asked =
      known.get(key) ??
      source.look?.(spot).then(({ vector }) => vector) ??
      Promise.reject(new Error("Without a server only locations can be looked at."));
    known.set(key, asked);
    asked.catch(() => known.delete(key));
    return asked;
  };
}

const nothing = (hint: string): Findings => ({ found: [], path: false, hint });

async function findingsOf(session: Session, vectorOf: (spot: Spot) => Promise<Term>): Promise<Findings> {
  const { points, store, focus, visible } = session;
  const { strip, k, apart, a, b, c, way, seed, selection } = store.state;
  const { neighbours } = points;
  const mask = visible.value;
  const allowed = (point: number): boolean => mask[point] === 1;
  const told = (found: readonly Neighbour[]): Findings => ({
    found: found.map(({ row, distance }) => ({ point: row, distance, metres: metresFrom(session, row) })),
    path: false,
    hint: found.length === 0 ? "Nothing lies within the filters." : "",
  });
  const options = { allowed, minDistanceM: apart };
  const count = (besides: number): number => Math.min(k, Math.max(1, points.n - besides));
  if (points.n < 5) return nothing(`${points.n} points are too few: enqueue more locations`);
  switch (strip) {
    case "neighbours": {
      const at = focus.value;
      if (at === undefined)
        return nothing("Choose a point, or any spot of the map, to see what is most like it.");
      return told(neighbours.nearest(at.point ?? at.vector, count(1), options));
    }
    case "calculator": {
      if (a === undefined || b === undefined || c === undefined)
        return nothing(
          "Put a place into each of a, b and c: drag it there, or use the buttons of the place.",
        );
      const [x, y, z] = (await Promise.all([a, b, c].map(vectorOf))) as [Term, Term, Term];
      return told(analogy(neighbours, { a: x, b: y, c: z }, count(3), options));
    }
    case "way": {
      if (a === undefined || b === undefined)
        return nothing("Put a place into each of a and b to go from one to the other.");
      const ends = await Promise.all([a, b].map(vectorOf));
      const [from, to] = ends.map((end) => (typeof end === "number" ? neighbours.vector(end) : end)) as [
        Float32Array,
        Float32Array,
      ];
      const target = from.map((value, i) => value + way * ((to[i] as number) - value));
      return told(neighbours.nearest(target, count(0), options));
    }
    case "walk": {
      const start = focus.value?.point;
      if (start === undefined) return nothing("Choose a point to walk from.");
      const random = randomOf(seed, Purpose.walk);
      const jumps = walk(neighbours, start, Math.min(JUMPS, points.n - 1), {
        random,
        among: Math.min(AMONG, points.n - 1),
        minDistanceM: apart,
      });
      return {
        found: jumps.map(({ row, distance, metres }) => ({ point: row, distance, metres })),
        path: true,
        hint: "",
      };
    }
    case "selection": {
      const chosen = selection.flatMap((location) => points.pointOf(location) ?? []).filter(allowed);
      const found = chosen.map((point) => ({
        point,
        distance: undefined,
        metres: metresFrom(session, point),
      }));
      return {
        found,
        path: false,
        hint: found.length === 0 ? "Draw a box or a lasso on the map or in the space, or search." : "",
      };
    }
  }
}

/** From what is looked at. */
function metresFrom({ points, focus }: Session, point: number): number | undefined {
  if (focus.value === undefined) return undefined;
  return distanceM(focus.value, { lon: points.lon[point] as number, lat: points.lat[point] as number });
}
