import { readFileSync } from "node:fs";
import { join } from "node:path";
import { METRIC_NAMES } from "@loc2vec/board";
import { expect, inject, test } from "vitest";
import { CHART, check, findHelm, parsePromql, ROOT, template } from "./helm.ts";
import { METRICS, SERIES } from "./metrics.ts";

interface Panel {
  id: number;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string }[];
}
const { panels } = JSON.parse(readFileSync(join(ROOT, "infra/grafana/loc2vec-farm.json"), "utf8")) as {
  panels: Panel[];
};

/** Grafana puts a duration there. */
const plain = (expression: string): string => expression.replaceAll("$__rate_interval", "5m");

/** Checks that expressions parse and read series and labels that the board gives; returns the series. */
async function checkQueries(expressions: readonly string[]): Promise<Set<string>> {
  const queries = await parsePromql(inject("python"), expressions.map(plain));
  expect(queries.map((query) => query.error).filter((error) => error !== undefined)).toEqual([]);
  const read = new Set(queries.flatMap((query) => query.metrics));
  for (const series of read) expect(SERIES).toContain(series);
  for (const expression of expressions) {
    for (const [, name = "", matchers = ""] of expression.matchAll(/(loc2vec_\w+)\{([^}]*)\}/g)) {
      const family = name.replace(/_(bucket|sum|count)$/, "");
      for (const [, label = ""] of matchers.matchAll(/(\w+)\s*[=!]/g)) {
        expect(METRICS[family]?.labels, expression).toContain(label);
      }
    }
  }
  return read;
}

test("the metrics that they may read are those of the board", () => {
  expect(Object.keys(METRICS).sort()).toEqual([...METRIC_NAMES].sort());
});

test("a wrong expression and an unknown metric are noticed", async () => {
  const [bad, good] = await parsePromql(inject("python"), ["sum(rate(a[5m])", "a_total / on (b) c"]);
  expect(bad?.error).toMatch(/sum\(rate/);
  expect(good).toEqual({ metrics: ["a_total", "c"] });
  await expect(checkQueries(["loc2vec_tile_total"])).rejects.toThrow("loc2vec_tile_total");
});

test("the dashboard asks for every metric there is, and for no other", async () => {
  const read = await checkQueries(panels.flatMap((panel) => panel.targets.map((target) => target.expr)));
  const families = new Set([...read].map((series) => series.replace(/_(bucket|sum|count)$/, "")));
  expect([...families].sort()).toEqual(Object.keys(METRICS).sort());
});

test("panels have ids of their own and do not overlap", () => {
  expect(new Set(panels.map((panel) => panel.id)).size).toBe(panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.get(`${x},${y}`), title).toBeUndefined();
        taken.set(`${x},${y}`, title);
      }
    }
  }
});

test("the alerts' expressions read metrics that there are", async () => {
  const yaml = await template(await findHelm(), ["--values", join(CHART, "ci/everything-values.yaml")]);
  const { objects } = await check(inject("python"), yaml);
  const rule = objects.find((each) => each.kind === "PrometheusRule")?.spec as {
    groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
  };
  const rules = rule.groups.flatMap((group) => group.rules);
  expect(rules.map((each) => each.alert)).toEqual([
    "Loc2vecJobsFailed",
    "Loc2vecQueueNotDraining",
    "Loc2vecRedisMemory",
    "Loc2vecBoardAbsent",
  ]);
  await checkQueries(rules.map((each) => each.expr));
  // Prometheus's own templates come through Helm's.
  expect(rules[0]?.annotations.summary).toContain("{{ $value }}");
}, 1_200_000);
