import { join } from "node:path";
import { EXIT_CODES, errorMessage, FarmError, redactText } from "@loc2vec/core";
import { Command, CommanderError, Option } from "commander";
import { benchCommand } from "./bench/index.ts";
import { boardCommand } from "./commands/board.ts";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { exportCommand } from "./commands/export.ts";
import { importMap, locations } from "./commands/map.ts";
import { embedCommand, reportCommand, trainCommand } from "./commands/model.ts";
import { enqueueCommand, retryCommand, status, verifyCommand, workCommand } from "./commands/raster.ts";
import { scaleCommand } from "./commands/scale.ts";
import { config, down, up } from "./commands/services.ts";
import { type Context, createContext, type GlobalOptions, ROOT } from "./context.ts";
import { checkpoint, kind, levels, positive, queueNames, ratio, whole } from "./options.ts";
import { withQueuedTraining, withTraining } from "./training-options.ts";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(EXIT_CODES.interrupted);
    process.stderr.write("\nstopping; once more to stop at once\n");
    stop.abort(new FarmError("interrupted", "stopped", "run it again: what was done is kept"));
  });
}

const program = new Command("farm")
  .description("Turns a map and a list of coordinates into location embeddings. Settings: farm config.")
  .option("--json", "print the result as one line of JSON, last on stdout")
  .option("--quiet", "no progress on stderr")
  .addHelpText(
    "after",
    `\nExit codes: ${Object.entries(EXIT_CODES)
      .map(([name, code]) => `${code} ${name}`)
      .join(", ")}`,
  );

/** Adds a command whose work gets the context and its own options; global options are taken before and after its name. */
function command<A extends unknown[]>(
  usage: string,
  description: string,
  work: (context: Context, ...args: A) => Promise<void>,
): Command {
  return program
    .command(usage)
    .description(description)
    .option("--json", "print the result as one line of JSON, last on stdout")
    .option("--quiet", "no progress on stderr")
    .action(async (...args: unknown[]) => {
      // commander gives arguments, options and the command itself
      const own = args.pop() as Command;
      const options = own.optsWithGlobals<GlobalOptions>();
      await work(createContext(options, stop.signal), ...(args as A));
    });
}

const checkpoints = (what = ""): Option =>
  new Option("--checkpoint <which>", `${what}best, last, or a step of those kept`)
    .argParser(checkpoint)
    .default("best");

const seed = (what: string): Option => new Option("--seed <n>", what).argParser(whole(0)).default(0);

command("up", "start the private Redis and PostgreSQL, to stay", up);
command("down", "stop them", down);
command("doctor", "say what is there and what is missing", doctor);
command("config", "print all settings, secrets hidden", config);
command("import <pbf>", "import an OpenStreetMap extract into PostGIS", importMap).option(
  "--force",
  "even when it is imported already",
);
command("locations", "sample locations from the imported map, as CSV", locations)
  .requiredOption("--count <n>", "how many", whole(1))
  .option("--kinds <visits:transport>", "shares", ratio, { visit: 2, transport: 1 })
  .addOption(seed("of the draw"))
  .option("--out <file>", "write to a file rather than to stdout");
withQueuedTraining(command("enqueue", "describe a data set and queue its shards", enqueueCommand))
  .requiredOption("--dataset <name>", "name of the data set")
  .option(
    "--locations <file>",
    "CSV, GeoJSON, NDJSON or Parquet of lon, lat and optionally kind, weight, label",
  )
  .option("--table <name>", "a table or view of FARM_DATABASE_URL with geom, or lon and lat")
  .option("--skip-bad <n>", "leave out at most so many rows that cannot be used", whole(0), 0)
  .option("--sample <n>", "sample so many from the map instead", whole(1))
  .option("--kinds <visits:transport>", "shares of sampled locations", ratio, { visit: 2, transport: 1 })
  .option("--kind <kind>", "of locations in the file that name none", kind, "visit")
  .option("--positives <n>", "per location", whole(0, 1000), 20)
  .option("--shard-locations <n>", "locations per shard", whole(1, 100_000), 64)
  .addOption(
    new Option("--levels <n>", "of intensity, 16 or 256: 16 takes half the space")
      .argParser(levels)
      .default(16),
  )
  .addOption(seed("of sampling and augmentation"))
  .option("--train <model>", "once the data set is complete, train this model on it")
  .option("--steps <n>", "of that training", whole(1))
  .option("--embed", "then embed the data set with it")
  .addOption(checkpoints("to embed with: "));
command("work", "render queued shards and complete their data sets, or do other jobs", workCommand)
  .option("--queues <names>", "raster, finalize, train, embed, by commas", queueNames, ["raster", "finalize"])
  .option("--dataset <name>", "with --until empty: wait for this one alone")
  .addOption(new Option("--until <when>", "when to end").choices(["empty", "forever"]).default("forever"))
  .option("--concurrency <n>", "shards at a time (default: FARM_WORKERS)", whole(1, 1024))
  .option("--grace <seconds>", "to finish shards after Ctrl-C or SIGTERM (default: 20)", whole(0, 3600))
  .option(
    "--lock <seconds>",
    "after which a dead worker's job goes to another (default: 60)",
    whole(1, 3600),
  );
command("status", "where a data set stands; on a terminal, live until nothing is left to do", status)
  .requiredOption("--dataset <name>", "name of the data set")
  .option("--once", "look once");
command(
  "retry",
  "put the failed jobs of a data set back, with all their attempts",
  retryCommand,
).requiredOption("--dataset <name>", "name of the data set");
command("verify", "read a whole data set and compare every checksum", verifyCommand)
  .requiredOption("--dataset <name>", "name of the data set")
  .option("--repair", "have what is missing or damaged rendered again");
command("board", "BullBoard, metrics and health over HTTP, until Ctrl-C", boardCommand)
  .option("--host <address>", "to listen on; any but loopback needs FARM_BOARD_PASSWORD", "127.0.0.1")
  .option("--port <n>", "to listen on", whole(0, 65535), 9400)
  .option("--proxy <address...>", "whose X-Forwarded-For is believed");
withTraining(command("train", "train an encoder on a data set", trainCommand))
  .requiredOption("--dataset <name>", "name of the data set")
  .requiredOption("--model <name>", "name of the model; goes on where it stands")
  .requiredOption("--steps <n>", "to train up to", whole(1));
command("embed", "embed the anchors of a data set", embedCommand)
  .requiredOption("--dataset <name>", "name of the data set")
  .requiredOption("--model <name>", "name of the model")
  .addOption(checkpoints());
command("evaluate", "judge models on geography kept from training, beside baselines", evaluateCommand)
  .requiredOption("--dataset <name>", "that they were trained on, or one of another city")
  .requiredOption("--model <names...>", "one or more; bars are held to the first")
  .addOption(checkpoints())
  .option("--locations <n>", "of the held-out ones, at most so many", whole(20), 2000)
  .option("--positives <n>", "of each location", whole(1, 1000), 5)
  .addOption(
    new Option("--labels <source>", "of the linear probe: venues of the imported map")
      .choices(["map", "none"])
      .default("map"),
  )
  .option("--within <metres>", "farther venues do not count", positive, 100)
  .addOption(seed("of all draws"))
  .option("--out <folder>", "default: evaluations/<dataset>-<model> in FARM_HOME");
command("export", "write a model as ONNX and safetensors, with what loads it in Keras", exportCommand)
  .requiredOption("--model <name>", "name of the model")
  .addOption(checkpoints())
  .option("--out <folder>", "default: exports/<model> in FARM_HOME");
command("report", "draw the figures of a data set and its embeddings", reportCommand)
  .requiredOption("--dataset <name>", "name of the data set")
  .option("--model <name>", "name of the model")
  .option("--out <folder>", "default: reports/<dataset> in FARM_HOME");
command("scale", "what all 31.5 M tiles take and cost, from measured figures, as Markdown", scaleCommand)
  .option(
    "--measured <file>",
    "results of benches, one JSON object a line",
    join(ROOT, "docs/measured.jsonl"),
  )
  .option("--workers <n>", "cores that render", whole(1), 50)
  .option("--core-hour <usd>", "price", positive, 0.04)
  .option("--put-price <usd>", "of 1000 PUTs", positive, 0.005)
  .option("--get-price <usd>", "of 1000 GETs", positive, 0.0004)
  .option("--gb-month <usd>", "of storage", positive, 0.023);
command("demo", "one real city through every part", demo)
  .option("--pbf <file>", "map to use instead of a small one that is fetched")
  .option("--locations <n>", "to sample", whole(20), 1000)
  .option("--steps <n>", "to train", whole(1), 150)
  .addOption(seed("of all draws"));
command(
  "bench <name>",
  "measure: raster, query, shards, workers, enqueue, farm, loader, train, embed, or render, shard, step, or all of these three",
  benchCommand,
)
  .option(
    "--locations <n>",
    "of the raster, query, shards (at most 48), workers, enqueue, farm and loader benches",
    whole(1),
  )
  .option("--density <n>", "raster: each feature so many times, shifted at random", whole(1, 100), 1)
  .option("--pbf <file>", "map to use instead of a small one that is fetched")
  .option("--steps <n>", "train: steps over which memory is watched", whole(4), 200)
  .option("--repeats <n>", "medians are taken of", whole(1, 1000), 5);

const json = process.argv.includes("--json");
for (const each of [program, ...program.commands])
  each.exitOverride().configureOutput({ outputError: () => {} });
// Node itself would print such an error with all its fields, URLs and arguments of commands among them.
process.on("uncaughtException", (error) => {
  report(error);
  process.exit();
});
try {
  await program.parseAsync();
} catch (error) {
  report(error);
}
// Native libraries keep threads that would hold up the end.
process.exit();

function report(error: unknown): void {
  const failure = toFailure(error);
  if (failure === undefined) return;
  const { kind, message, mend, cause } = failure;
  if (json) process.stdout.write(`${JSON.stringify({ error: { kind, message, mend } })}\n`);
  process.stderr.write(`error: ${failure.line}\n`);
  if (kind === "internal" && cause instanceof Error)
    process.stderr.write(`${redactText(String(cause.stack))}\n`);
  process.exitCode = failure.exitCode;
}

function toFailure(error: unknown): FarmError | undefined {
  if (error instanceof FarmError) return error;
  if (stop.signal.aborted) return stop.signal.reason as FarmError;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    const help = error.code === "commander.help";
    return new FarmError(
      "usage",
      help ? "no command is given" : error.message.replace(/^error: /, ""),
      "farm --help, or --help after a command",
    );
  }
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === "ENOSPC" || code === "EROFS" || code === "EACCES") {
    return new FarmError("service", errorMessage(error), "free some disk space, or name another place", {
      cause: error,
    });
  }
  return new FarmError("internal", errorMessage(error), "a fault of the farm: please report it", {
    cause: error,
  });
}
