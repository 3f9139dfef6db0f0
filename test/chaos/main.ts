// pnpm chaos --seed N [--shards N] [--workers N] [--json]: all faults in one seeded storm, on real servers of its own.
import { parseArgs } from "node:util";
import { randomOf } from "@loc2vec/core";
import { testPython } from "../support/python.ts";
import { calmRun, drawStorm, stormRun } from "./storm.ts";
import { createWorld } from "./world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    shards: { type: "string", default: "140" },
    workers: { type: "string", default: "2" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(
    "pnpm chaos [--seed N] [--shards N] [--workers N] [--json]: every fault once, in a drawn order",
  );
  process.exit(0);
}
const [seed, shards, workers] = [values.seed, values.shards, values.workers].map((text) => {
  if (!/^\d{1,9}$/.test(text)) {
    console.error(`error: ${text} is not a whole number (mend: pnpm chaos --help)`);
    process.exit(2);
  }
  return Number(text);
}) as [number, number, number];
const log = (line: string): void => console.error(line);
const size = { shards, locations: 24, positives: 4 };
log("chaos: starting Redis, PostGIS and S3, importing a map");
const world = await createWorld(await testPython(), seed);
let code = 1;
try {
  log(`chaos: ${shards} shards undisturbed`);
  const begin = performance.now();
  const calm = await calmRun(world, size);
  log(`chaos: done in ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  const options = { name: "storm", random: randomOf(seed, 3), workers, thenVerify: true, log };
  const outcome = await stormRun(world, size, drawStorm(seed), calm, options);
  const { faults, ...sums } = outcome;
  if (values.json) console.log(JSON.stringify({ seed, ...outcome }));
  else
    for (const [name, value] of Object.entries({ faults: faults.length, ...sums }))
      console.log(`${name.padEnd(16)} ${value}`);
  code = outcome.bytes_equal && outcome.lost === 0 && outcome.duplicated === 0 ? 0 : 1;
} finally {
  await world.close();
}
process.exit(code);
