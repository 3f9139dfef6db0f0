import { basename, resolve } from "node:path";
import { whole } from "@loc2vec/cli";
import {
  distanceM,
  FarmError,
  METRES_PER_DEGREE,
  nearestOf,
  type Place,
  Purpose,
  randomOf,
} from "@loc2vec/core";
import { type FarmContext, machine, openSpots, type Spots } from "@loc2vec/farm";
import {
  channelsOfVenues,
  ensureDatabase,
  importPbf,
  type NearVenue,
  openVenues,
  type Profile,
  readColumns,
  readVenues,
  type Venue,
  type VenueSource,
} from "@loc2vec/gis";
import {
  type Answer,
  fitPrior,
  judge,
  MOST_CANDIDATES,
  mapVenue,
  type Prior,
  reachM,
  simulateFix,
  topOf,
  type Visit,
} from "@loc2vec/venues";
import { Option } from "commander";
import { defineBench, type Report } from "../bench.ts";
import { withBenchServices } from "../services.ts";

const SIGMAS_M = [10, 25, 50, 100] as const;
/**
 * How often a venue of a class is visited, for one of an office once: invented, to simulate visits with. Nobody's habits were
 * measured.
 */
const VISITED = {
  ...{ food: 4, shop: 3, lodging: 1, sight: 2, education: 2, worship: 0.5, public: 0.7, health: 1 },
  ...{ motoring: 0.7, office: 1, beach: 6, park: 5, sports: 2, cemetery: 0.5 },
} as const satisfies Record<string, number>;
/** A venue draws as many more as there are of its class within so many metres: where shops are, people go shopping. */
const CROWD_M = 150;
/** A newer venue is one that the map lacks when the map has none of its class so near, metres. */
const FRESH_M = 60;

export interface VenuesOptions {
  pbf: string;
  learn: string[];
  venues?: string;
  model: string;
  visits: number;
  seed: number;
}

export const usesVenues = defineBench({
  name: "uses-venues",
  description:
    "which venue a noisy fix comes from, in a city that nothing was learnt from; visits and fixes are simulated",
  options: (command) =>
    command
      .requiredOption("--pbf <file>", "map of the city that is asked for")
      .requiredOption("--learn <files...>", "maps of other cities, whose visits the prior is learnt from")
      .option(
        "--venues <file:column>",
        "newer venues of that city, beside those of the map: a column of amenities",
      )
      .option("--model <name>", "of the store, or the one that comes with the farm", "pretrained")
      .addOption(new Option("--visits <n>", "of each city").argParser(whole(50)).default(1000))
      .addOption(new Option("--seed <n>", "of all draws").argParser(whole(0)).default(1)),
  measure: (context, options: VenuesOptions, report) => measureVenues(context, options, report),
});

/** Learns from visits in some cities, asks in another. Both are simulated from maps, and said to be. */
export async function measureVenues(
  context: FarmContext,
  { pbf, learn, venues, model, visits, seed }: VenuesOptions,
  report: Report,
): Promise<Record<string, unknown>> {
  const profile = await context.profile();
  return withBenchServices(context, ["database"], async ({ databaseUrl }) => {
    const open = <T>(path: string, work: (city: City) => Promise<T>): Promise<T> =>
      withCity(context, { server: databaseUrl, path: resolve(path), profile, model, seed }, work);
    const lessons: Record<Habit, Visit[]> = { alike: [], crowded: [] };
    for (const path of learn)
      await open(path, async (city) => {
        for (const habit of HABITS) {
          const seen = drawVisits(city.venues, habit, visits, seed);
          lessons[habit].push(...(await fixesOf(city, seen, (i) => SIGMAS_M[i % SIGMAS_M.length] as number)));
        }
        report({ learnt_from: city.name, venues: city.venues.length });
      });
    return open(pbf, async (city) => {
      const about = { model, weights_sha256: city.spots.weightsSha256, hidden: city.hiddenNames };
      const results: Record<string, unknown> = {};
      for (const habit of HABITS) {
        const priors = {
          learnt: fitPrior(lessons[habit], about),
          classes: fitPrior(lessons[habit], about, { blind: true }),
          frequency: frequencyPrior(lessons[habit]),
        };
        const ask = async (
          places: VenueSource["near"] | undefined,
          truths: readonly Venue[],
          what: string,
        ) => {
          for (const sigmaM of SIGMAS_M) {
            const near = places === undefined ? city : { ...city, near: places };
            const fixes = await fixesOf(near, truths, () => sigmaM);
            const figures = { [`${what}_${habit}_${sigmaM}_m`]: compare(fixes, priors) };
            Object.assign(results, figures);
            report(figures);
          }
        };
        await ask(undefined, drawVisits(city.venues, habit, visits, seed + 1), "map");
        if (venues !== undefined) {
          const { all, fresh } = await newerVenues(venues, city.venues, profile);
          Object.assign(results, { newer_venues: all.length, newer_unknown_to_map: fresh.length });
          const seen = drawVisits(all, habit, visits, seed + 1, fresh);
          await ask(nearPoints(all), seen, "newer");
        }
      }
      return {
        machine: machine(),
        simulated: "visits, by rates that are invented, and fixes, by normal noise",
        map: city.name,
        learnt_from: learn.map((path) => basename(path)),
        ...about,
        visits_learnt_from: lessons.crowded.length,
        ...results,
      };
    });
  });
}

/** Venues are visited alike, or by their class and by how many of it are around. */
const HABITS = ["alike", "crowded"] as const;
type Habit = (typeof HABITS)[number];

interface City {
  name: string;
  venues: readonly Venue[];
  near: VenueSource["near"];
  spots: Spots;
  /** Indices of the channels that draw venues. */
  hidden: readonly number[];
  hiddenNames: string[];
  seed: number;
  signal: AbortSignal;
}

async function withCity<T>(
  context: FarmContext,
  {
    server,
    path,
    profile,
    model,
    seed,
  }: { server: string; path: string; profile: Profile; model: string; seed: number },
  work: (city: City) => Promise<T>,
): Promise<T> {
  const databaseUrl = await ensureDatabase(server, "loc2vec_bench_uses");
  const { pbf } = await importPbf({ pbf: path, databaseUrl, profile, signal: context.signal });
  const venues = openVenues(databaseUrl, profile);
  const renderer = context.config.renderer;
  const spots = await openSpots({ store: context.store(), databaseUrl, profile, renderer, model });
  const hidden = channelsOfVenues(profile);
  try {
    return await work({
      ...{ name: pbf, spots, hidden, seed, near: venues.near, signal: context.signal },
      venues: await readVenues(databaseUrl, profile, seed),
      hiddenNames: hidden.map((channel) => profile.channels[channel]?.name as string),
    });
  } finally {
    await Promise.all([venues.close(), spots.close()]);
  }
}

/** Draws visits to venues, and among them those to some alone. */
function drawVisits(
  venues: readonly Venue[],
  habit: Habit,
  count: number,
  seed: number,
  among: readonly Venue[] = venues,
): Venue[] {
  const around = ofEachClass(venues, countAround);
  const weights = among.map((venue) => {
    if (habit === "alike") return 1;
    const rate = VISITED[venue.class as keyof typeof VISITED] ?? 1;
    return rate * (1 + (around.get(venue.class)?.(venue) ?? 0));
  });
  const random = randomOf(seed, Purpose.venues, HABITS.indexOf(habit));
  // Without putting back, the heavier the likelier to be among them (Efraimidis & Spirakis 2006).
  return [...among.keys()]
    .map((i) => ({ i, key: -Math.log(1 - random.uniform()) / (weights[i] as number) }))
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ i }) => among[i] as Venue);
}

/** What a function makes of the venues of each class. */
function ofEachClass<T>(venues: readonly Venue[], work: (of: readonly Venue[]) => T): Map<string, T> {
  const names = [...new Set(venues.map((venue) => venue.class))];
  return new Map(names.map((name) => [name, work(venues.filter((venue) => venue.class === name))]));
}

/** How many others lie near a place. */
const countAround =
  (places: readonly Place[]) =>
  (place: Place): number =>
    within(places, place, CROWD_M).length - 1;

function within<P extends Place>(places: readonly P[], place: Place, metres: number): P[] {
  const degrees = metres / METRES_PER_DEGREE;
  return places.filter(
    (other) => Math.abs(other.lat - place.lat) <= degrees && distanceM(other, place) <= metres,
  );
}

/** A visit, and which of its candidates it was to. */
type Simulated = Visit & { truth: number };

/** Fixes of visits, with what is around them. */
async function fixesOf(
  { near, spots, hidden, seed, signal }: City,
  visits: readonly Venue[],
  sigmaOf: (i: number) => number,
): Promise<Simulated[]> {
  const fixes = visits.map((visit, i) =>
    simulateFix(visit, sigmaOf(i), randomOf(seed, Purpose.venues, 7, i)),
  );
  const embeddings = await spots.embed(fixes, { hidden, signal });
  const seen: Simulated[] = [];
  for (const [i, visit] of visits.entries()) {
    signal.throwIfAborted();
    const sigmaM = sigmaOf(i);
    const candidates = await near(fixes[i] as Place, reachM(sigmaM), MOST_CANDIDATES);
    seen.push({
      ...{ embedding: embeddings[i] as Float32Array, sigmaM, candidates, class: visit.class },
      truth: candidates.findIndex((one) => one.id === visit.id && one.class === visit.class),
    });
  }
  return seen;
}

/** The naive prior: how often each class is visited, wherever. */
function frequencyPrior(visits: readonly Visit[]): (name: string) => number {
  const counts = new Map<string, number>();
  for (const visit of visits) counts.set(visit.class, (counts.get(visit.class) ?? 0) + 1);
  return (name) => (counts.get(name) ?? 0.5) / visits.length;
}

function compare(
  fixes: readonly Simulated[],
  { learnt, classes, frequency }: { learnt: Prior; classes: Prior; frequency: (name: string) => number },
): Record<string, unknown> {
  const answers = (scoresOf: (fix: Simulated) => readonly number[]): Answer[] =>
    fixes.map((fix) => ({ scores: scoresOf(fix), truth: fix.truth }));
  const posterior = (prior: Prior | undefined) => (fix: Simulated) => {
    // In the order of the candidates, which ranking changes.
    const at = fix.candidates.map((candidate, i) => ({ ...candidate, i }));
    const scores = new Array<number>(at.length);
    for (const { i, probability } of mapVenue(fix, at, prior)) scores[i] = probability;
    return scores;
  };
  const byDistance = posterior(undefined);
  const weighed = (fix: Simulated): number[] => {
    const near = byDistance(fix).map((p, i) => p * frequency((fix.candidates[i] as { class: string }).class));
    const total = near.reduce((sum, each) => sum + each, 0);
    return near.map((each) => each / total);
  };
  return rounded({
    fixes: fixes.length,
    candidates: fixes.reduce((sum, { candidates }) => sum + candidates.length, 0) / fixes.length,
    beyond_reach: fixes.filter(({ truth }) => truth < 0).length / fixes.length,
    nearest: topOf(answers(({ candidates }) => candidates.map(({ metres }) => -metres))),
    distance: judge(answers(byDistance)),
    frequency: judge(answers(weighed)),
    classes: judge(answers(posterior(classes))),
    embedding: judge(answers(posterior(learnt))),
  }) as Record<string, unknown>;
}

/** Newer venues of a city, of the classes of the profile, and those of them of which the map has none of their class near. */
async function newerVenues(
  source: string,
  known: readonly Venue[],
  profile: Profile,
): Promise<{ all: Venue[]; fresh: Venue[] }> {
  const [, path, column] = /^(.*):([^:]+)$/.exec(source) ?? [];
  if (path === undefined || column === undefined)
    throw new FarmError("usage", `--venues ${source}: is not FILE:COLUMN`, "e.g. venues.csv:amenity");
  const rows = await readColumns(path, [column]);
  const all = rows.flatMap(({ lon, lat, cells }, i): Venue[] =>
    Object.entries(profile.venues)
      .filter(([, { amenity }]) => amenity !== true && amenity?.includes(cells[column] ?? ""))
      .map(([name]) => ({ id: `row ${i}`, class: name, lon, lat })),
  );
  const nearest = ofEachClass(known, nearestOf);
  const fresh = all.filter((venue) => nearest.get(venue.class)?.(venue, { withinM: FRESH_M }) === undefined);
  return { all, fresh };
}

/** As a map's venues are found, of points. */
const nearPoints =
  (points: readonly Venue[]): VenueSource["near"] =>
  async (place, withinM, most): Promise<NearVenue[]> =>
    within(points, place, withinM)
      .map((point) => ({ ...point, metres: distanceM(point, place), areaM2: 0 }))
      .sort((a, b) => a.metres - b.metres)
      .slice(0, most);

/** Numbers of four digits, however deep they lie. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number(value.toFixed(4));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, rounded(each)]));
}
