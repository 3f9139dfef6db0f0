import { spawn } from "node:child_process";

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. @throws the spawn's error, e.g. with code ENOENT */
export async function run(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Outcome> {
  // The working folder must be one that any user may enter.
  const child = spawn(command, args, { env, cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    outcome.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    outcome.stderr += text;
  });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    // Not "close": a server that stays keeps the pipes open.
    child.once("exit", (code) => {
      outcome.code = code;
      setImmediate(resolve);
    });
  });
  child.stdout.destroy();
  child.stderr.destroy();
  return outcome;
}
