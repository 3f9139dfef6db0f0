import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export const CLI = fileURLToPath(new URL("../dist/main.js", import.meta.url));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
  /** The last line of stdout, parsed; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: what a command prints is looked at field by field
  json: any;
}

/** What a test does while a program runs. */
export type OnStart = (kill: (signal: NodeJS.Signals) => void, stderr: Readable, pid: number) => void;

/** Runs the command line as a user does, with these settings and no others of the farm's. */
export const farm = (
  args: readonly string[],
  settings: Record<string, string> = {},
  onStart?: OnStart,
): Promise<Ended> => runProgram(CLI, args, settings, onStart);

/** Runs a program of the farm as a user does, with these settings and no others of the farm's. */
export async function runProgram(
  main: string,
  args: readonly string[],
  settings: Record<string, string>,
  onStart?: OnStart,
): Promise<Ended> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FARM_")));
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...env, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  onStart?.((signal) => child.kill(signal), child.stderr, child.pid as number);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  let json: unknown;
  try {
    json = JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  } catch {
    json = undefined;
  }
  return { code, stdout, stderr, json };
}
