import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type CheckpointChoice, FarmError, type Place } from "@loc2vec/core";
import { openSpots, readPrior, type Spots, withServices } from "@loc2vec/farm";
import { channelsOfVenues, openVenues, readColumns, type VenueSource } from "@loc2vec/gis";
import { fitPrior, MOST_CANDIDATES, mapVenue, type Prior, reachM } from "@loc2vec/venues";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";
import { checkpointOption, whole } from "../options.ts";
import { drawVenues } from "../venue-picture.ts";

interface VenuesOptions {
  fixes?: string;
  accuracy: string;
  hour?: string;
  visits?: string;
  prior?: string;
  save?: string;
  model: string;
  checkpoint: CheckpointChoice;
  top: number;
  picture?: string;
}

export const venues = defineCommand({
  usage: "venues",
  description:
    "which venue of the imported map a noisy fix comes from: distance × a prior learnt from visits",
  options: (command) =>
    command
      .option("--fixes <file>", "with lon and lat: to be mapped to venues")
      .option(
        "--accuracy <metres>",
        "standard deviation of a fix in each axis: a number, or a column of the files",
        "20",
      )
      .option("--hour <column>", "of the files: hour of the day, 0 to 24, local time; may be empty")
      .option(
        "--visits <file:column>",
        "with lon, lat and a column of classes as the profile's venues and grounds are called: what the prior is learnt from",
      )
      .option("--prior <file>", "learnt before, instead of --visits")
      .option("--save <file>", "to write the prior to, for --prior and for farm serve --venue-prior")
      .option("--model <name>", "whose embeddings the prior goes by", "pretrained")
      .addOption(checkpointOption())
      .option("--top <n>", "venues that are told of each fix", whole(1, MOST_CANDIDATES), 3)
      .option("--picture <file>", "SVG of the first fix, by distance alone and with the prior"),
  action: venuesCommand,
});

/** Learns a prior, maps fixes, or both. */
async function venuesCommand(context: CommandContext, options: VenuesOptions): Promise<void> {
  const { fixes, visits, prior: given, save, model, checkpoint, picture } = options;
  checkOptions(options);
  const profile = await context.profile();
  const kept = given === undefined ? undefined : await readPrior(given);
  const asked = fixes === undefined ? [] : await readFixes(fixes, options);
  const lessons = visits === undefined ? [] : await readVisits(visits, options);
  await withServices(context, ["database"], async ({ databaseUrl }) => {
    const { renderer } = context.config;
    const spots = await openSpots({
      store: context.store(),
      databaseUrl,
      profile,
      renderer,
      model,
      checkpoint,
    });
    const source = openVenues(databaseUrl, profile);
    try {
      const hidden = channelsOfVenues(profile);
      const see = { spots, source, hidden, context };
      const about = {
        ...{ model, weights_sha256: spots.weightsSha256 },
        hidden: hidden.map((channel) => profile.channels[channel]?.name as string),
      };
      const prior = lessons.length > 0 ? fitPrior(await withSurroundings(lessons, see), about) : kept;
      checkModel(prior, spots);
      if (save !== undefined) await writeFile(save, `${JSON.stringify(prior)}\n`);
      const mapped = (await withSurroundings(asked, see)).map((fix) => ({
        fix,
        ranked: mapVenue(fix, fix.candidates, prior),
      }));
      if (picture !== undefined && mapped[0] !== undefined) {
        const [{ fix, ranked }] = mapped;
        await writeFile(picture, await drawVenues({ fix, ranked, tile: await spots.draw(fix), profile }));
      }
      tell(context, options, prior, mapped);
    } finally {
      await Promise.all([spots.close(), source.close()]);
    }
  });
}

function checkOptions({ fixes, visits, prior, save, picture }: VenuesOptions): void {
  const wrong = (what: string, mend: string): FarmError => new FarmError("usage", what, mend);
  if (fixes === undefined && save === undefined)
    throw wrong(
      "neither --fixes nor --save is given",
      "name fixes to map, or a file for a prior that is learnt",
    );
  if (visits !== undefined && prior !== undefined)
    throw wrong("--visits and --prior are both given", "learn a prior, or take one that was learnt");
  if (save !== undefined && visits === undefined)
    throw wrong("--save without --visits: there is nothing to learn from", "name labelled visits");
  if (picture !== undefined && fixes === undefined)
    throw wrong("--picture without --fixes: there is nothing to draw", "name fixes");
}

/** @throws FarmError `data` for a prior of another model than the one that is asked */
function checkModel(prior: Prior | undefined, { model, weightsSha256 }: Spots): void {
  if (prior === undefined || prior.weights_sha256 === weightsSha256) return;
  throw new FarmError(
    "data",
    `the prior was learnt from embeddings by model ${prior.model}, with other weights than those of ${model}`,
    "learn it anew, or name that model with --model",
  );
}

interface Fix extends Place {
  sigmaM: number;
  hour: number | undefined;
}

type FileOptions = Pick<VenuesOptions, "accuracy" | "hour">;

async function readFixes(path: string, options: FileOptions): Promise<Fix[]> {
  return (await readRows(path, options, [])).map(({ fix }) => fix);
}

/** @throws FarmError `usage`, `input` naming file, row and column */
async function readVisits(source: string, options: FileOptions): Promise<(Fix & { class: string })[]> {
  const at = source.lastIndexOf(":");
  const [path, column] = [source.slice(0, at), source.slice(at + 1)];
  if (path === "" || column === "")
    throw new FarmError("usage", `--visits ${source}: is not FILE:COLUMN`, "e.g. visits.csv:class");
  const rows = await readRows(path, options, [column]);
  return rows.flatMap(({ fix, cells }) => {
    const name = cells[column];
    return name === undefined ? [] : [{ ...fix, class: name }];
  });
}

async function readRows(
  path: string,
  { accuracy, hour }: FileOptions,
  more: readonly string[],
): Promise<{ fix: Fix; cells: Readonly<Record<string, string | undefined>> }[]> {
  const fixed = Number(accuracy);
  const ofColumn = !Number.isFinite(fixed);
  // The coordinates' own columns serve where no other is asked for.
  const columns = [...more, ...(ofColumn ? [accuracy] : []), ...(hour === undefined ? [] : [hour])];
  const rows = await readColumns(path, columns.length === 0 ? ["lon"] : columns);
  return rows.map((row) => {
    const { lon, lat, where, cells } = row;
    const sigmaM = ofColumn ? row.number(accuracy) : fixed;
    if (!(sigmaM >= 1 && sigmaM <= 1000))
      throw new FarmError(
        "input",
        `${where}: accuracy ${sigmaM} m is not within 1 and 1000`,
        "mend or drop the row",
      );
    const told = hour === undefined || cells[hour] === undefined ? undefined : row.number(hour);
    if (told !== undefined && !(told >= 0 && told < 24))
      throw new FarmError(
        "input",
        `${where}: hour ${told} is not from 0 to below 24`,
        "mend or empty the cell",
      );
    return { fix: { lon, lat, sigmaM, hour: told }, cells };
  });
}

/** Adds what lies around fixes: embedding and candidates. */
async function withSurroundings<F extends Fix>(
  fixes: readonly F[],
  {
    spots,
    source,
    hidden,
    context,
  }: { spots: Spots; source: VenueSource; hidden: readonly number[]; context: CommandContext },
) {
  if (fixes.length === 0) return [];
  const progress = context.progress({ label: "venues", total: fixes.length, unit: "fixes" });
  const { signal } = context;
  const vectors = await spots.embed(fixes, { hidden, signal, onProgress: (done) => progress.update(done) });
  progress.finish();
  const seen = [];
  for (const [i, fix] of fixes.entries()) {
    signal.throwIfAborted();
    const candidates = await source.near(fix, reachM(fix.sigmaM), MOST_CANDIDATES);
    seen.push({ ...fix, embedding: vectors[i] as Float32Array, candidates });
  }
  return seen;
}

type Mapped = {
  fix: Fix;
  ranked: ReturnType<typeof mapVenue<Awaited<ReturnType<VenueSource["near"]>>[number]>>;
};

function tell(
  context: CommandContext,
  { top, save }: VenuesOptions,
  prior: Prior | undefined,
  mapped: readonly Mapped[],
): void {
  const fixes = mapped.map(({ fix: { lon, lat, sigmaM, hour }, ranked }) => ({
    ...{ lon, lat, accuracy_m: sigmaM, ...(hour === undefined ? {} : { hour }) },
    candidates: ranked.length,
    venues: ranked.slice(0, top),
  }));
  const learnt =
    prior === undefined ? null : { model: prior.model, visits: prior.visits, hidden: prior.hidden };
  context.result({ prior: learnt, ...(save === undefined ? {} : { file: resolve(save) }), fixes }, [
    prior === undefined
      ? "no prior: by distance alone"
      : `prior of ${Object.keys(prior.classes).length} classes, learnt from ${prior.visits} visits`,
    ...fixes.flatMap(({ lon, lat, candidates, venues: found }) => [
      `${lon}, ${lat}: ${candidates} venues around${found.length === 0 ? ", so nothing is said" : ""}`,
      ...found.map(
        (one) =>
          `  ${(100 * one.probability).toFixed(1).padStart(5)} %  ${one.class}${one.name === undefined ? "" : ` ${one.name}`}, ${one.metres.toFixed(0)} m; by distance ${(100 * one.by_distance).toFixed(1)} %`,
      ),
    ]),
    ...(save === undefined ? [] : [`the prior is in ${save}`]),
  ]);
}
