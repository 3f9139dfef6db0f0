import { fileURLToPath } from "node:url";
import { type Ended, type OnStart, runProgram } from "../../cli/test/farm.ts";

const BENCH = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** Runs the benches' command line as a user does, with these settings and no others of the farm's. */
export const bench = (
  args: readonly string[],
  settings: Record<string, string> = {},
  onStart?: OnStart,
): Promise<Ended> => runProgram(BENCH, args, settings, onStart);
