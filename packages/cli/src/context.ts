import { startProgress } from "@loc2vec/core";
import { createFarmContext, type FarmContext } from "@loc2vec/farm";

/** What every command works with. */
export interface CommandContext extends FarmContext {
  readonly quiet: boolean;
  /** Whether the result is to be JSON. */
  readonly json: boolean;
  /** The outcome, on stdout: lines for people, or the value as one line of JSON. */
  result(value: unknown, lines: readonly string[]): void;
}

export interface GlobalOptions {
  json?: boolean;
  quiet?: boolean;
}

/** A context that says on stderr what is being done, unless it is to be quiet. */
export function createContext(
  { json = false, quiet = false }: GlobalOptions,
  signal: AbortSignal,
): CommandContext {
  const face = createFarmContext({
    signal,
    log: (line) => {
      if (!quiet) process.stderr.write(`${line}\n`);
    },
    progress: (work) => startProgress({ ...work, quiet }),
  });
  return {
    ...face,
    quiet,
    json,
    result: (value, lines) => {
      process.stdout.write(json ? `${JSON.stringify(value)}\n` : lines.map((line) => `${line}\n`).join(""));
    },
  };
}
