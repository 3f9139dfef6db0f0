import { type CommandContext, type CommandDefinition, defineCommand, whole } from "@loc2vec/cli";
import { EXIT_CODES } from "@loc2vec/core";
import { type Command, Option } from "commander";

/**
 * Takes figures of a bench as they come: says them on stderr, and keeps them, so that a bench that is stopped still prints
 * what it had measured. Later ones of the same name replace earlier ones.
 */
export type Report = (figures: Readonly<Record<string, unknown>>) => void;

/** A bench that prints one object of figures. */
export interface Bench<O> {
  name: string;
  description: string;
  /** Adds its options. */
  options: (command: Command) => Command;
  /** @returns its figures, or undefined where another process has printed them */
  measure: (context: CommandContext, options: O, report: Report) => Promise<object | undefined>;
}

/**
 * The command of a bench. It prints one object: name, machine, and what was measured, all in this one run. One that is stopped
 * prints what it had measured by then, with `complete: false`.
 */
export function defineBench<O>({ name, description, options, measure }: Bench<O>): CommandDefinition {
  return defineCommand({
    usage: name,
    description,
    options,
    async action(context: CommandContext, chosen: O) {
      const soFar: Record<string, unknown> = {};
      const report: Report = (figures) => {
        Object.assign(soFar, figures);
        context.log(`bench: ${words(figures).join(", ")}`);
      };
      const print = (figures: object, complete: boolean): void =>
        context.result({ bench: name, complete, ...figures }, [
          ...words(figures, 24),
          ...(complete ? [] : ["stopped before the rest was measured"]),
        ]);
      try {
        const figures = await measure(context, chosen, report);
        if (figures !== undefined) print(figures, true);
      } catch (error) {
        if (!context.signal.aborted || Object.keys(soFar).length === 0) throw error;
        process.exitCode = EXIT_CODES.interrupted;
        print(soFar, false);
      }
    },
  });
}

const words = (figures: object, width = 0): string[] =>
  Object.entries(figures).map(([key, value]) => `${key.padEnd(width)} ${JSON.stringify(value)}`);

/** `--pbf`, which most benches have. */
export interface MapOptions {
  pbf?: string;
}

export const mapOption = (): Option =>
  new Option("--pbf <file>", "map to use instead of a small one that is fetched");

export const locationsOption = (count: number, max?: number): Option =>
  new Option("--locations <n>", "to sample from the map").argParser(whole(1, max)).default(count);

export const repeatsOption = (): Option =>
  new Option("--repeats <n>", "medians are taken of").argParser(whole(1, 1000)).default(5);
