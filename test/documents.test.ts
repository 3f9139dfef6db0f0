import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describeConfig, readConfig } from "@loc2vec/core";
import { expect, test } from "vitest";
import { farm } from "../packages/cli/test/farm.ts";
import { codeBlocks, documents, ROOT } from "./support/documents.ts";

const run = promisify(execFile);
const SCRIPTS: Record<string, string> = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).scripts;

interface Line {
  path: string;
  /** A command line without its comment. */
  text: string;
}

/** All that is written as code in documents and in the examples' scripts: lines of blocks, and code within sentences. */
const LINES: Line[] = documents().flatMap(({ path, text }) => {
  const blocks = codeBlocks(text)
    .filter(({ language }) => ["", "sh", "bash"].includes(language))
    .flatMap(({ code }) => code.replaceAll(/\\\n\s*/g, "").split("\n"));
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
  return [...blocks, ...spans].map((line) => ({ path, text: line.replace(/\s#.*$/, "") }));
});

/** What is called as `pattern`, by its first group: every call, as file and line. */
function callsOf(pattern: RegExp): Map<string, Line[]> {
  const calls = new Map<string, Line[]>();
  for (const { path, text } of LINES) {
    for (const [call = "", name = ""] of text.matchAll(pattern))
      calls.set(name, [...(calls.get(name) ?? []), { path, text: call }]);
  }
  return calls;
}

/** Options of a call that a help text does not have. */
function unknownOptions(calls: readonly Line[], help: string): string[] {
  const known = new Set(help.match(/--[a-z][a-z-]*/g));
  return calls.flatMap(({ path, text }) =>
    (text.match(/(?<=\s)--[a-z][a-z-]*/g) ?? [])
      .filter((option) => !known.has(option))
      .map((option) => `${path}: ${text.trim()}: no ${option}`),
  );
}

/** Up to what ends a command in a line. */
const REST = "[^;|&()\\n]*";

test("scripts that documents call with npm or pnpm are in package.json", () => {
  const named = [
    ...callsOf(/\bnpm run ([\w:]+)/g),
    ...callsOf(/\bpnpm (?:-s |--silent )?(farm:\w+|bench|chaos|lint|build|format|demo|setup)\b/g),
  ];
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter(([script]) => SCRIPTS[script] === undefined)).toEqual([]);
});

test("commands of the farm exist, and have the options that documents give them", {
  timeout: 180_000,
}, async () => {
  const verbs = new Map<string, Line[]>();
  for (const pattern of [
    new RegExp(`\\bfarm:([a-z]+)(?![\\w/.-])${REST}`, "g"),
    new RegExp(`\\b(?:pnpm (?:-s )?farm|^farm) ([a-z]+)(?![\\w/.])${REST}`, "g"),
  ]) {
    for (const [verb, calls] of callsOf(pattern)) verbs.set(verb, [...(verbs.get(verb) ?? []), ...calls]);
  }
  expect(verbs.size).toBeGreaterThan(10);
  const problems = await Promise.all(
    [...verbs].map(async ([verb, calls]) => {
      const { code, stdout } = await farm([verb, "--help"]);
      return code === 0 && stdout.startsWith(`Usage: farm ${verb} `)
        ? unknownOptions(calls, stdout)
        : [`${calls[0]?.path}: no command ${verb}`];
    }),
  );
  expect(problems.flat()).toEqual([]);
});

test.each(["bench", "chaos"])(
  "what documents ask of pnpm %s is in its help",
  { timeout: 180_000 },
  async (script) => {
    const pattern = new RegExp(`\\bpnpm ${script}\\b(?: (?!-|NAME)([\\w-]+))?${REST}`, "g");
    const calls = callsOf(pattern);
    expect(calls.size).toBeGreaterThan(0);
    const helpOf = async (...args: string[]): Promise<string> =>
      (await run("sh", ["-c", `${SCRIPTS[script]} "$@"`, script, ...args, "--help"], { cwd: ROOT })).stdout;
    const all = await helpOf();
    const problems = await Promise.all(
      [...calls].map(async ([name, lines]) => {
        if (name === "") return unknownOptions(lines, `${all} --help --json`);
        if (!new RegExp(`\\b${name}\\b`).test(all)) return [`${lines[0]?.path}: no ${script} ${name}`];
        return unknownOptions(lines, `${await helpOf(name)} --help`);
      }),
    );
    expect(problems.flat()).toEqual([]);
  },
);

test("settings that documents name exist", () => {
  const known = describeConfig(readConfig(ROOT, {})).map(({ env }) => env);
  const named = documents().flatMap(({ path, text }) =>
    [...text.matchAll(/\bFARM_[A-Z0-9_]+\b/g)].map(([name]) => ({ path, name })),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(({ name }) => !known.includes(name))).toEqual([]);
});

test("values of the chart that documents set exist", () => {
  const schema = JSON.parse(readFileSync(join(ROOT, "infra/helm/loc2vec-farm/values.schema.json"), "utf8"));
  const keys = LINES.flatMap(({ path, text }) =>
    [...text.matchAll(/--set ([\w.]+)=/g)].map(([, key = ""]) => ({ path, key })),
  );
  expect(keys.length).toBeGreaterThan(8);
  const exists = (key: string): boolean => {
    let at = schema;
    for (const part of key.split(".")) {
      while (at?.$ref !== undefined) at = schema.$defs?.[at.$ref.split("/").at(-1)];
      if (at?.properties?.[part] === undefined)
        return at?.additionalProperties !== false && at?.type === "object";
      at = at.properties[part];
    }
    return true;
  };
  expect(keys.filter(({ key }) => !exists(key))).toEqual([]);
});
