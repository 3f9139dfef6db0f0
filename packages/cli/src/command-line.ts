import { EXIT_CODES, errorMessage, FarmError, redactText } from "@loc2vec/core";
import { Command, CommanderError } from "commander";
import { type CommandContext, createContext, type GlobalOptions } from "./context.ts";

/** A command of a program. */
export interface CommandDefinition {
  /** Its name, and its arguments: `import <pbf>`. */
  usage: string;
  description: string;
  /** Adds its options. */
  options(command: Command): Command;
  /** Does it, with its arguments and then its options. */
  action(context: CommandContext, ...args: unknown[]): Promise<void>;
}

/** A definition as it is; its action's parameters are what the arguments and options are parsed to. */
export function defineCommand<A extends unknown[]>(
  definition: Omit<CommandDefinition, "options" | "action"> & {
    options?: (command: Command) => Command;
    action: (context: CommandContext, ...args: A) => Promise<void>;
  },
): CommandDefinition {
  const { options = (command) => command, action } = definition;
  return { ...definition, options, action: action as CommandDefinition["action"] };
}

export interface ProgramDefinition {
  name: string;
  description: string;
  commands: readonly CommandDefinition[];
}

/**
 * Does the command that the process's arguments name, and ends the process: results on stdout, one line for an error on
 * stderr, exit codes as the help lists them. The first SIGINT or SIGTERM gives the context's signal, the second one ends
 * all at once.
 */
export async function runProgram(definition: ProgramDefinition): Promise<never> {
  const stop = stopOnSignals();
  const json = process.argv.includes("--json");
  const program = createProgram(definition, stop);
  const report = (error: unknown): void => reportError(error, { json, stop });
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
}

/** Given at the first SIGINT or SIGTERM. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(EXIT_CODES.interrupted);
      process.stderr.write("\nstopping; once more to stop at once\n");
      stop.abort(new FarmError("interrupted", "stopped", "run it again: what was done is kept"));
    });
  }
  return stop.signal;
}

/** Global options are taken before and after a command's name. */
const withGlobalOptions = (command: Command): Command =>
  command
    .option("--json", "print the result as one line of JSON, last on stdout")
    .option("--quiet", "no progress on stderr");

function createProgram({ name, description, commands }: ProgramDefinition, stop: AbortSignal): Command {
  const codes = Object.entries(EXIT_CODES).map(([kind, code]) => `${code} ${kind}`);
  const program = withGlobalOptions(new Command(name).description(description)).addHelpText(
    "after",
    `\nExit codes: ${codes.join(", ")}`,
  );
  for (const { usage, description, options, action } of commands) {
    const command = withGlobalOptions(program.command(usage).description(description));
    options(command).action(async (...args: unknown[]) => {
      // commander gives arguments, options and the command itself
      const own = args.pop() as Command;
      await action(createContext(own.optsWithGlobals<GlobalOptions>(), stop), ...args);
    });
  }
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ outputError: () => {} });
  return program;
}

function reportError(error: unknown, { json, stop }: { json: boolean; stop: AbortSignal }): void {
  const failure = toFailure(error, stop);
  if (failure === undefined) return;
  const { kind, code, message, mend, cause } = failure;
  if (json) process.stdout.write(`${JSON.stringify({ error: { kind, code, message, mend } })}\n`);
  process.stderr.write(`error: ${failure.line}\n`);
  if (kind === "internal" && cause instanceof Error)
    process.stderr.write(`${redactText(String(cause.stack))}\n`);
  process.exitCode = failure.exitCode;
}

/** @returns undefined where commander has printed a help that was asked for */
function toFailure(error: unknown, stop: AbortSignal): FarmError | undefined {
  if (error instanceof FarmError) return error;
  if (stop.aborted) return stop.reason as FarmError;
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
