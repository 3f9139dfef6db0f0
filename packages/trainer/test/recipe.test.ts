import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { DEFAULT_HOLDOUT, FarmError } from "@loc2vec/core";
import { architectureSchema, compactNetwork, NETWORKS, storedArchitecture } from "@loc2vec/encoder";
import { openStore } from "@loc2vec/shards";
import { expect, onTestFinished, test } from "vitest";
import { NETWORK, writeStripes } from "../../../test/support/stripes.ts";
import { listCheckpoints, readCheckpoint, train } from "../src/index.ts";
import { choicesOf, type Knob, rangeOf, readKnob, standardText, usageOf } from "../src/knobs.ts";
import {
  aboutRecipe,
  completeRecipe,
  composeRecipe,
  decisive,
  KNOBS,
  parseRecipe,
  pickRecipe,
  RECIPE_NAMES,
  RECIPES,
  recipeTable,
} from "../src/recipe.ts";
import { recipeNameOf, type Settings, settle } from "../src/settings.ts";

const README = fileURLToPath(new URL("../README.md", import.meta.url));
const PAPER = parseRecipe("a test", {});
const nameOf = ({ path }: Pick<Knob, "path">): string => path.join(".");
const byName = (name: string): Knob => KNOBS.find((one) => nameOf(one) === name) as Knob;
const valueIn = (recipe: object, { path }: Knob): unknown =>
  path.reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], recipe);
/** What a name of the README's table ends in, where a number has a dimension. */
const UNIT_OF_NAME = /(M|Seconds)$/;

test("every setting has a flag of its own, a help text, and a unit where its name has one", () => {
  expect(KNOBS.length).toBeGreaterThan(15);
  expect(new Set(KNOBS.map(({ flag }) => flag)).size).toBe(KNOBS.length);
  for (const one of KNOBS) {
    expect(one.flag, nameOf(one)).toMatch(/^--[a-z]+(-[a-z]+)*$/);
    expect(one.help.length, nameOf(one)).toBeGreaterThan(5);
    expect(rangeOf(one), nameOf(one)).not.toMatch(/undefined|NaN/);
    const [, ending] = UNIT_OF_NAME.exec(nameOf(one)) ?? [];
    expect([undefined, one.unit], nameOf(one)).toContain(
      { M: "metres", Seconds: "seconds" }[ending as string],
    );
  }
});

test("a job may be given every setting but what is drawn by chance, waits for shards, or is of several data sets", () => {
  expect(KNOBS.filter(({ enqueue }) => enqueue === false).map(nameOf)).toEqual(["seed", "mix", "early"]);
});

test("no setting has the name of a job's own field, or of what a training is told beside its recipe", () => {
  const taken = ["store", "dataset", "model", "steps", "signal", "busyMs", "leaseMs"];
  expect(KNOBS.map(({ path }) => path[0]).filter((name) => taken.includes(name as string))).toEqual([]);
});

test("the recipe `paper` is all defaults", () => {
  expect(RECIPES.paper).toEqual({});
  expect(parseRecipe("a test", { recipe: "paper" })).toEqual(PAPER);
  expect(PAPER).toMatchObject({
    ...{ network: compactNetwork(NETWORKS.paper), seed: 0, batch: { locations: 20, pairs: 5, negatives: 1 } },
    ...{ loss: "softpn", decorrelate: 0, learningRate: 0.001, warmup: 0, halveEvery: 0, anneal: 0 },
    ...{ precision: "auto", dropout: { input: 0.02, conv: 0.01, dense: 0.02 }, empty: "skip" },
    ...{ holdout: { share: 0.1, cellM: 1000 }, checkpointEvery: 100 },
  });
});

test("a recipe is called by its name, and what is given beside it wins", () => {
  expect(RECIPE_NAMES).toEqual(["paper", "best"]);
  const best = parseRecipe("a test", { recipe: "best" });
  expect(best).toEqual(completeRecipe("a test", {}, RECIPES.best));
  expect(best).not.toEqual(PAPER);
  expect(best).not.toHaveProperty("recipe");
  const own = { recipe: "best", loss: "ratio", batch: { negatives: 3 } } as const;
  expect(parseRecipe("a test", own)).toEqual({
    ...best,
    loss: "ratio",
    batch: { ...best.batch, negatives: 3 },
  });
  // The function that trains takes the name as well.
  expect(pickRecipe({ ...own, steps: 3 } as never)).toEqual(own);
});

const OTHER = {
  ...{ network: JSON.parse(NETWORK), loss: "dcl", batch: { locations: 60 } },
  ...{ dropout: { input: 0, conv: 0.1, dense: 0 }, temperature: 0.5 },
} as const;

test.each([RECIPES.best, OTHER])("what --help says of a recipe is what brings it about", (recipe) => {
  expect(aboutRecipe({})).toBe("the defaults");
  expect(aboutRecipe({ network: "small", anneal: 0 })).toBe("--network small --anneal 0");
  const given = aboutRecipe(recipe)
    .split(/ (?=--)/)
    .map((option) => {
      const [, flag, text = ""] = /^(--\S+) (.*)$/.exec(option) ?? [];
      const one = KNOBS.find((each) => each.flag === flag) as Knob;
      return [one.path, readKnob(one, text.replace(/^'(.*)'$/, "$1"))] as const;
    });
  expect(parseRecipe("a test", composeRecipe(given))).toEqual(completeRecipe("a test", {}, recipe));
});

test("a model's settings are known by the recipe's name, whatever it was trained on", () => {
  const drawn = {
    shards: "0-5",
    early: true,
    minDistanceM: 100,
    holdout: { ...DEFAULT_HOLDOUT, share: 0.3 },
  };
  const settingsOf = (chosen: object, anneal: number) =>
    settle(
      { ...parseRecipe("a test", chosen), precision: "mixed", anneal },
      {} as never,
      { channels: ["a"], pixels: 32 },
      drawn,
    );
  for (const [chosen, anneal, name] of [
    [{}, 0, "paper"],
    [{ seed: 9, empty: "keep", temperature: 1, maxSeconds: 3 }, 0, "paper"],
    [{ recipe: "best", seed: 9 }, 600, "best"],
    [{ recipe: "best" }, 0, undefined],
    [{}, 600, undefined],
    [{ loss: "ratio" }, 0, undefined],
    [{ recipe: "best", network: "small" }, 600, undefined],
    [{ batch: { negatives: 2 } }, 0, undefined],
  ] as const)
    expect(recipeNameOf(settingsOf(chosen, anneal)), JSON.stringify(chosen)).toBe(name);
});

test("a recipe's own settings give way to those that are given, also within a group", () => {
  const base = { loss: "ratio", batch: { locations: 60, pairs: 2 }, warmup: 9 } as const;
  expect(completeRecipe("a test", { batch: { pairs: 3 }, warmup: 0 }, base)).toEqual({
    ...PAPER,
    ...{ loss: "ratio", batch: { locations: 60, pairs: 3, negatives: 1, neighbours: 0 }, warmup: 0 },
  });
  const left = { loss: undefined, batch: { pairs: undefined }, warmup: undefined };
  expect(completeRecipe("a test", left, base)).toEqual(parseRecipe("a test", base));
});

test("a network or rates that are given replace the recipe's whole: they are no group", () => {
  const base = { network: NETWORKS.small, dropout: { input: 0.1, conv: 0.1, dense: 0.1 } } as never;
  const own = { network: NETWORKS.large, dropout: { input: 0, conv: 0, dense: 0.5 } } as never;
  expect(completeRecipe("a test", own, base)).toEqual(parseRecipe("a test", own));
});

test.each(KNOBS.map((one) => [nameOf(one), one] as const))(
  "%s: its default, read from what --help shows, is the recipe's",
  (_, one) => {
    const shown = one.standard === undefined ? [] : [standardText(one)];
    const given = shown.map((text) => [one.path, readKnob(one, text)] as const);
    expect(parseRecipe("a test", composeRecipe(given))).toEqual(PAPER);
    expect(shown).toHaveLength(valueIn(PAPER, one) === undefined ? 0 : 1);
  },
);

test("values of the command line are read, and what is out of range is refused with what it must be", () => {
  for (const [name, text, value] of [
    ["batch.locations", "2", 2],
    ["learningRate", "1e-4", 1e-4],
    ["minDistanceM", "0", 0],
    ["holdout.share", "0.5", 0.5],
    ["dropout", "0.1,0,0.9", { input: 0.1, conv: 0, dense: 0.9 }],
    ["loss", "ratio", "ratio"],
    ["anneal", "600", 600],
    ["anneal", "steps", "steps"],
    ["network", "small", "small"],
    ["network", NETWORK, JSON.parse(NETWORK)],
  ] as const)
    expect(readKnob(byName(name), text), name).toEqual(value);
  for (const [name, text, mustBe] of [
    ["batch.locations", "1", "must be a whole number, 2 to 1000"],
    ["batch.locations", "1001", "must be a whole number, 2 to 1000"],
    ["batch.pairs", "2.5", "must be a whole number, 1 to 1000"],
    ["batch.pairs", "", "must be a whole number, 1 to 1000"],
    ["seed", "-1", "must be a whole number, 0 or more"],
    ["patience", "0", "must be a whole number, 1 or more"],
    ["learningRate", "0", "must be a number above 0"],
    ["learningRate", "Infinity", "must be a number above 0"],
    ["minDistanceM", "-1", "must be a number, 0 or more"],
    ["minDistanceM", " ", "must be a number, 0 or more"],
    ["holdout.share", "1", "must be a number, 0 to less than 1"],
    ["dropout", "0.1,0.1", "must be 3 numbers by commas (input, conv, dense), each 0 to less than 1"],
    ["dropout", "0.1,0.1,1", "must be 3 numbers by commas (input, conv, dense), each 0 to less than 1"],
    ["loss", "triplet", "must be softpn, ratio, softpn-all, softpn-hard, ntxent or dcl"],
    ["anneal", "step", "must be a whole number, 0 or more, or steps"],
    ["anneal", "-1", "must be a whole number, 0 or more, or steps"],
    ["temperature", "0", "must be a number above 0"],
    ["decorrelate", "-1", "must be a number, 0 or more"],
    ["network", "tiny", "must be small, paper, large, global or JSON"],
    ["network", '{"pooled":[],"pointwise":[],"dense":4,"embedding":4}', /^pooled: /],
    ["network", '{"pooled":[8],"pointwise":[0],"dense":4,"embedding":4}', /^pointwise\.0: /],
    ["network", '{"pooled":[8],"dense":4,"embedding":4}', /^pointwise: /],
  ] as const)
    expect(() => readKnob(byName(name), text), `${name} ${text}`).toThrowError(mustBe);
});

test("an unknown field, or one out of its range, is refused by name", () => {
  for (const [given, message] of [
    [{ los: "softpn" }, "job x: los: there is no such setting"],
    [{ batch: { location: 3 } }, "job x: batch.location: there is no such setting"],
    [{ batch: { locations: 1 } }, "job x: batch.locations: must be a whole number, 2 to 1000"],
    [{ loss: "triplet" }, /^job x: loss: must be softpn, ratio, .* or dcl$/],
    [{ distanceScale: 0 }, "job x: temperature: must be a number above 0"],
    [{ holdout: { share: 2 } }, "job x: holdout.share: must be a number, 0 to less than 1"],
    [{ dropout: { input: 0, conv: 3, dense: 0 } }, /^job x: dropout\.conv: /],
    [{ network: { pooled: [8], pointwise: [], dense: 4 } }, /^job x: network\.embedding: /],
    [{ recipe: "worst" }, "job x: recipe: must be paper or best"],
    [{ recipe: "toString" }, "job x: recipe: must be paper or best"],
    [{ anneal: "600" }, "job x: anneal: must be a whole number, 0 or more, or steps"],
    [{ warmup: "9" }, "job x: warmup: must be a whole number, 0 or more"],
  ] as const) {
    let thrown: unknown;
    try {
      parseRecipe("job x", given as never);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FarmError);
    expect(thrown).toMatchObject({ kind: "usage" });
    expect((thrown as FarmError).message).toMatch(message);
  }
});

/** A value of a setting that is not its default. */
function otherValue(one: Knob): unknown {
  const texts = [...choicesOf(one), "7", "1", "4", "0.75", "0.25", "0.5,0.25,0.125", NETWORK];
  const values = texts.flatMap((text) => {
    try {
      return [readKnob(one, text)];
    } catch {
      return [];
    }
  });
  const other = values.find((value) => {
    const recipe = parseRecipe("a test", composeRecipe([[one.path, value]]));
    return JSON.stringify(recipe) !== JSON.stringify(PAPER);
  });
  return other ?? true;
}

test("a job's payload is a recipe that comes through a queue as it was", () => {
  const recipe = parseRecipe("a test", composeRecipe(KNOBS.map((one) => [one.path, otherValue(one)])));
  for (const one of KNOBS) expect(valueIn(recipe, one), nameOf(one)).not.toEqual(valueIn(PAPER, one));
  expect(parseRecipe("a job", JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
});

test("the README's table is the schema's", async () => {
  const readme = await readFile(README, "utf8");
  const markers = /(<!-- recipe -->\n)[\s\S]*(<!-- \/recipe -->)/;
  expect(readme).toMatch(markers);
  const anew = readme.replace(markers, `$1\n${recipeTable()}\n\n$2`);
  const command = "npx vitest run packages/trainer/test/recipe.test.ts --update";
  await expect(anew, `it is written anew by ${command}`).toMatchFileSnapshot(README);
});

test("a checkpoint of before there was a setting is gone on with, as what was done then", async () => {
  const folder = await mkdtemp(join(tmpdir(), "recipe-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const store = openStore(pathToFileURL(folder).href);
  await writeStripes(store);
  const before = {
    ...{ empty: "keep", minDistanceM: 0, holdout: { share: 0, cellM: 1000, borderM: 200 } },
    ...{ batch: { locations: 6, pairs: 3 }, network: JSON.parse(NETWORK), checkpointEvery: 4 },
  } as const;
  const run = (model: string, steps: number, more = {}) =>
    train({ store, dataset: "stripes", model, steps, ...before, ...more });
  await run("old", 4);
  const key = "models/old/checkpoints/step-000004/state.json";
  const state = JSON.parse(new TextDecoder().decode(await store.get(key)));
  const { settings } = await readCheckpoint(store, "old", 4);
  for (const name of ["temperature", "decorrelate", "empty", "schedule", "minDistanceM", "holdout", "early"])
    delete state.settings[name];
  delete state.settings.batch.negatives;
  await store.put(key, new TextEncoder().encode(JSON.stringify(state)));
  expect((await readCheckpoint(store, "old", 4)).settings).toEqual(settings);
  expect(await run("old", 8)).toMatchObject({ resumedFrom: 4, step: 8 });
  expect(await listCheckpoints(store, "old")).toContain(8);
  await expect(run("old", 12, { empty: "skip" })).rejects.toMatchObject({
    code: "settings-mismatch",
    message: expect.stringMatching(/empty "keep", not "skip"/),
  });
  // What was always there must be.
  delete state.settings.loss;
  for (const step of [4, 8])
    await store.put(
      `models/old/checkpoints/step-00000${step}/state.json`,
      new TextEncoder().encode(JSON.stringify(state)),
    );
  await expect(run("old", 12)).rejects.toThrowError(/state\.json in .*settings\.loss/);
});

test("a checkpoint of before there was a temperature has a scale, and is gone on with to the same bits", async () => {
  const folder = await mkdtemp(join(tmpdir(), "recipe-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const store = openStore(pathToFileURL(folder).href);
  await writeStripes(store);
  const given = {
    ...{ holdout: { share: 0 }, minDistanceM: 0, batch: { locations: 6, pairs: 3 }, checkpointEvery: 4 },
    ...{ network: JSON.parse(NETWORK), store, dataset: "stripes" },
  };
  // 1 / (1 / 49) is not 49.
  const run = (model: string, steps: number, temperature = 1 / 49) =>
    train({ ...given, model, steps, temperature });
  const whole = await run("whole", 8);
  await run("old", 4);
  const key = "models/old/checkpoints/step-000004/state.json";
  const state = JSON.parse(new TextDecoder().decode(await store.get(key)));
  expect(state.settings.temperature).toBe(1 / 49);
  delete state.settings.temperature;
  state.settings.distanceScale = 49;
  await store.put(key, new TextEncoder().encode(JSON.stringify(state)));
  await expect(run("old", 8, 1)).rejects.toThrowError(`was trained with temperature ${1 / 49}, not 1`);
  const rest = await run("old", 8);
  expect(rest.resumedFrom).toBe(4);
  expect(rest.history.map(({ loss }) => loss)).toEqual(whole.history.map(({ loss }) => loss));
  const [a, b] = [await readCheckpoint(store, "whole", 8), await readCheckpoint(store, "old", 8)];
  expect(b).toEqual(a);
  // So has a job that was queued before.
  expect(parseRecipe("a job", { distanceScale: 49 } as never).temperature).toBe(1 / 49);
});

test("a loss has a temperature of its own, which is kept as any other", () => {
  const drawn = { shards: "0-5", early: false, minDistanceM: 100, holdout: DEFAULT_HOLDOUT };
  const settled = (chosen: object) =>
    settle(
      { ...parseRecipe("a test", chosen), precision: "mixed", anneal: 0 },
      {} as never,
      { channels: ["a"], pixels: 32 },
      drawn,
    ).temperature;
  expect([{}, { loss: "softpn-all" }, { loss: "ntxent" }, { loss: "dcl" }].map(settled)).toEqual([
    1, 0.3, 0.1, 0.2,
  ]);
  expect(settled({ loss: "ntxent", temperature: 1 })).toBe(1);
  expect(standardText(byName("temperature"))).toMatch(
    /^the loss's own: softpn 1, .*, softpn-all 0\.3, .*, dcl 0\.2$/,
  );
});

test("all that is decisive is in a checkpoint's settings", () => {
  const drawn = { shards: "0-5", early: false, minDistanceM: 100, holdout: DEFAULT_HOLDOUT };
  const dataset = { channels: ["a", "b", "c"], pixels: 32 };
  const settings = settle({ ...PAPER, precision: "mixed", anneal: 60 }, {} as never, dataset, drawn);
  const missing = (of: Settings): string[] => {
    const kept = { ...of, ...of.schedule, network: of.architecture, halvings: 0, turns: 1 };
    return Object.keys(decisive).filter((name) => !(name in kept));
  };
  // How data sets are mixed is no setting of a training on one: its checkpoints have the bytes of before there were several.
  expect(missing(settings)).toEqual(["mix"]);
  const recipe = parseRecipe("a test", { mix: "turns" });
  const several = settle({ ...recipe, precision: "mixed", anneal: 60 }, [{}, {}] as never, dataset, drawn);
  expect(missing(several)).toEqual([]);
  expect(several.mix).toBe("turns");
  expect(settings).toMatchObject({
    ...drawn,
    precision: "mixed",
    schedule: { warmup: 0, halveEvery: 0, anneal: 60 },
  });
});

test("how often tiles are halved and turned is the architecture's, which is as of old without", () => {
  const drawn = { shards: "0-5", early: false, minDistanceM: 100, holdout: DEFAULT_HOLDOUT };
  const dataset = { channels: ["a", "b", "c"], pixels: 128 };
  const settled = (chosen: RecipeInput) =>
    settle({ ...parseRecipe("a test", chosen), precision: "mixed", anneal: 0 }, {} as never, dataset, drawn)
      .architecture;
  expect(Object.keys(settled({}))).toEqual(["channels", "pixels", "layers"]);
  expect(settled({ network: "global", halvings: 1, turns: 4 })).toEqual({
    ...{ channels: 3, pixels: 128, halvings: 1, turns: 4 },
    layers: NETWORKS.global,
  });
  const all = settled({ network: "global", halvings: 1, turns: 8 });
  const read = architectureSchema.parse(JSON.parse(JSON.stringify(storedArchitecture(all))));
  expect(JSON.stringify(read)).toBe(JSON.stringify(all));
  expect(settled({ network: "global", halfSizeSteps: 9 }).halvings).toBeUndefined();
  expect(() => settled({ halfSizeSteps: 9 })).toThrow(
    /the network paper cannot begin with smaller tiles: its weights are for tiles of one size/,
  );
});

test("a flag is shown with what its value is called", () => {
  for (const [name, usage] of [
    ["batch.pairs", "--pairs <n>"],
    ["minDistanceM", "--min-distance <metres>"],
    ["dropout", "--dropout <rates>"],
    ["early", "--early"],
  ] as const)
    expect(usageOf(byName(name))).toBe(usage);
});
