import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson } from "../src/index.ts";

fc.configureGlobal({ seed: 13, numRuns: 200 });

test.each([
  ["keys are sorted at every depth", { b: 1, a: { d: [], c: {} } }, '{"a":{"c":{},"d":[]},"b":1}'],
  ["the order of lists counts", [3, 1, { z: 1, y: 2 }], '[3,1,{"y":2,"z":1}]'],
  ["capitals before small letters, by code", { a: 1, B: 2, ä: 3, _: 4 }, '{"B":2,"_":4,"a":1,"ä":3}'],
  ["what JSON cannot hold is left out", { a: undefined, b: [undefined], c: null }, '{"b":[null],"c":null}'],
  ["plain values stay", 'a"b', '"a\\"b"'],
  ["numbers are JavaScript's shortest", [1, 0.1, 1e21, -0], "[1,0.1,1e+21,0]"],
  // Objects have such keys first, in the order of the numbers, however they are made.
  ["whole numbers as keys stand first, ascending", { b: 1, 10: 2, 9: 3 }, '{"9":3,"10":2,"b":1}'],
] as const)("%s", (_, value, text) => {
  expect(canonicalJson(value)).toBe(text);
});

// hashlib.sha256(json.dumps([["x", "y"], {"draw": {"width": 2.5}, "at": 0}], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
test("its hash is Python's of sorted keys and no spaces", () => {
  const text = canonicalJson([["x", "y"], { draw: { width: 2.5 }, at: 0 }]);
  expect(createHash("sha256").update(text).digest("hex")).toBe(
    "6b8ccd22cd5f0f2db1cdd07fb9337cad97aac389a3b08cedf5c2881a03b76b2a",
  );
});

test("the order in which keys are written does not change it, and it is the same value still", () => {
  const reversed = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(reversed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, item]) => [key, reversed(item)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(reversed(value))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});
