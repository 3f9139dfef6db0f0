import { KNOBS, type Knob, parseRecipe, standardText, usageOf } from "@loc2vec/trainer";
import { Command } from "commander";
import { expect, test } from "vitest";
import { refuseTraining, trainingOf, withQueuedTraining, withTraining } from "../src/training-options.ts";

const parse = (args: string[], add = withTraining): Record<string, unknown> => {
  const command = add(new Command("train").exitOverride().configureOutput({ writeErr: () => {} }));
  return command.parse(args, { from: "user" }).opts();
};
const optionsOf = (add: typeof withTraining): string[] =>
  add(new Command()).options.map(({ flags }) => flags);
const help = (add = withTraining): string =>
  add(new Command("train").configureHelp({ helpWidth: 1000 })).helpInformation();

test("`train` has an option for every setting, `enqueue` for all but those that it has or cannot have", () => {
  expect(optionsOf(withTraining)).toEqual(["--recipe <name>", ...KNOBS.map(usageOf)]);
  expect(optionsOf(withQueuedTraining)).toContain("--recipe <name>");
  const missing = KNOBS.map(usageOf).filter((flags) => !optionsOf(withQueuedTraining).includes(flags));
  expect(missing).toEqual(["--seed <n>", "--mix <how>", "--early"]);
});

test("--help says each default", () => {
  const lines = help().split("\n");
  const lineOf = (one: Knob) => lines.find((line) => line.trim().startsWith(`${usageOf(one)} `));
  for (const one of KNOBS) expect(lineOf(one), one.flag).toContain(one.help);
  const shown = KNOBS.filter((one) => standardText(one) !== "");
  expect(shown.length).toBeGreaterThan(10);
  for (const one of shown) expect(lineOf(one), one.flag).toContain(`default: ${standardText(one)})`);
});

test("without options, and with every default written out, a training has the recipe's defaults", () => {
  const standard = parseRecipe("a test", {});
  expect(trainingOf(parse([]))).toEqual({});
  const written = KNOBS.filter((one) => one.standard !== undefined).flatMap((one) => [
    one.flag,
    standardText(one),
  ]);
  expect(written.length).toBeGreaterThan(20);
  const given = trainingOf(parse(written));
  expect(given).not.toEqual({});
  expect(parseRecipe("a test", given)).toEqual(standard);
});

test("what is given stands where the trainer looks for it", () => {
  const args = ["--pairs", "3", "--border", "0", "--cell", "500", "--early", "--dropout", "0,0,0.5"];
  expect(trainingOf(parse(args))).toEqual({
    ...{ batch: { pairs: 3 }, holdout: { borderM: 0, cellM: 500 }, early: true },
    dropout: { input: 0, conv: 0, dense: 0.5 },
  });
  expect(trainingOf({ ...parse(["--pairs", "3"], withQueuedTraining), seed: 9, dataset: "x" })).toEqual({
    batch: { pairs: 3 },
    seed: 9,
  });
  expect(() => parse(["--pairs", "0"])).toThrowError(
    "option '--pairs <n>' argument '0' is invalid. must be a whole number, 1 to 1000",
  );
});

test("a recipe is chosen by name; the options given beside it stand beside it", () => {
  expect(trainingOf(parse(["--pairs", "3", "--recipe", "best"]))).toEqual({
    recipe: "best",
    batch: { pairs: 3 },
  });
  expect(() => parse(["--recipe", "worst"])).toThrowError(/Allowed choices are paper, best/);
  expect(help()).toMatch(/--recipe <name> .* paper: the defaults; best: --.* \(default: paper\)/);
});

test("an option of a training is refused where nothing is trained; the data set's seed is none", () => {
  expect(() => refuseTraining({ ...parse([], withQueuedTraining), seed: 9, dataset: "x" })).not.toThrow();
  for (const args of [
    ["--pairs", "5"],
    ["--network", "paper"],
    ["--border", "0"],
    ["--recipe", "paper"],
  ] as const)
    expect(() => refuseTraining(parse([...args], withQueuedTraining))).toThrowError(
      `${args[0]} is of a model that is trained`,
    );
});
