import { cpus } from "node:os";
import { SAMPLES_PER_LOCATION } from "@loc2vec/core";
import { machine } from "@loc2vec/farm";
import {
  defineBench,
  locationsOption,
  type MapOptions,
  mapOption,
  type Report,
  repeatsOption,
} from "../bench.ts";
import { answer, withChildren } from "../children.ts";
import { medianOf } from "../harness.ts";
import { withMap } from "../map.ts";
import type { Task } from "./workers-part.ts";

interface WorkersOptions extends MapOptions {
  locations: number;
  repeats: number;
}

export const workers = defineBench({
  name: "workers",
  description: "one and two processes that render, PostgreSQL beside them",
  options: (command) =>
    command.addOption(mapOption()).addOption(locationsOption(200)).addOption(repeatsOption()),
  measure: (context, { pbf, repeats, locations }: WorkersOptions, report) =>
    withMap(context, pbf, ({ databaseUrl }) =>
      measureWorkers(
        { databaseUrl, style: context.config.style, locations },
        { repeats, signal: context.signal, report },
      ),
    ),
});

/** One rendering process, then two at once, each with as many locations of its own; all cores, PostgreSQL on them too. */
async function measureWorkers(
  task: Omit<Task, "seed">,
  { repeats, signal, report }: { repeats: number; signal: AbortSignal; report: Report },
): Promise<Record<string, unknown>> {
  const runs: { one: Run; two: Run }[] = [];
  for (let run = 0; run < repeats; run++) {
    runs.push({ one: await measured(task, 1, signal), two: await measured(task, 2, signal) });
    report(figures(task, runs));
  }
  return figures(task, runs);
}

function figures(task: Omit<Task, "seed">, runs: readonly { one: Run; two: Run }[]): Record<string, unknown> {
  const one = medianOf(
    runs.map((run) => run.one),
    ({ rate }) => rate,
  );
  const two = medianOf(
    runs.map((run) => run.two),
    ({ rate }) => rate,
  );
  return {
    machine: machine(),
    locations: task.locations,
    repeats: runs.length,
    tiles_per_s_1: Math.round(one.rate),
    tiles_per_s_2: Math.round(two.rate),
    ratio_2: Number((two.rate / one.rate).toFixed(3)),
    // A process's helper threads and PostgreSQL run beside it: how many cores were busy all in all.
    busy_cores_1: Number(one.busy.toFixed(2)),
    busy_cores_2: Number(two.busy.toFixed(2)),
  };
}

interface Run {
  /** Tiles per second of all processes together. */
  rate: number;
  /** Cores that were not idle, on average. */
  busy: number;
}

/** Time that cores were not idle since they were started, ms. */
function busyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.sys + times.nice + times.irq, 0);
}

async function measured(task: Omit<Task, "seed">, processes: number, signal: AbortSignal): Promise<Run> {
  const tasks = Array.from({ length: processes }, (_, i): Task => ({ ...task, seed: 1 + i }));
  return withChildren(new URL("./workers-part.js", import.meta.url), tasks, signal, async (children) => {
    const ends = children.map(answer);
    const [begin, busy] = [performance.now(), busyMs()];
    for (const child of children) child.send("go");
    await Promise.all(ends);
    const ms = performance.now() - begin;
    return {
      rate: (processes * task.locations * SAMPLES_PER_LOCATION) / (ms / 1000),
      busy: (busyMs() - busy) / ms,
    };
  });
}
