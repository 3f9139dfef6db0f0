// Takes a minute: Schemathesis asks the API what its OpenAPI text allows, and what it does not.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { fuzzPython } from "../../../test/support/python.ts";
import { get, serve, TOKEN, testWorld } from "./world.ts";

const world = testWorld("server_fuzz");

/** What is held against each answer. Positive data may be refused: a spot may lie beyond the map. */
const CHECKS = [
  ...["not_a_server_error", "status_code_conformance", "content_type_conformance"],
  ...["response_headers_conformance", "response_schema_conformance", "negative_data_rejection"],
];

test("nothing that is asked ends in a fault or hangs, and answers are what the OpenAPI text says", {
  timeout: 600_000,
}, async () => {
  const python = await fuzzPython();
  const { url, lines } = await serve(world, { requestsPerMinute: 1_000_000 });
  const options = [
    ...["--header", `Authorization: Bearer ${TOKEN}`, "--checks", CHECKS.join(",")],
    ...["--max-examples", "30", "--seed", "1", "--request-timeout", "40", "--continue-on-failure"],
    ...["--phases", "examples,coverage,fuzzing", "--no-color"],
  ];
  const { stdout, stderr } = await promisify(execFile)(
    python,
    ["-m", "schemathesis.cli", "run", `${url}/openapi.json`, ...options],
    { maxBuffer: 1 << 26, cwd: world.home },
  ).catch((error: { stdout: string; stderr: string }) => error);
  expect(`${stdout}${stderr}`).toMatch(/ ([\d,]+) generated, \1 passed/);
  expect(lines.filter((line) => line.includes("failed"))).toEqual([]);
  // It came through, and the server is well.
  const cases = Number(/([\d,]+) generated/.exec(stdout)?.[1]?.replaceAll(",", ""));
  expect(cases).toBeGreaterThan(200);
  expect((await get(`${url}/healthz`)).ok).toBe(true);
});
