import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";

const PACKAGES = resolve(import.meta.dirname, "../packages");

/** The names that a package's `index.ts` lists, types marked, in alphabetical order: one a line. */
function faceOf(index: string): string {
  const lists = [...index.matchAll(/export (type )?\{([^}]*)\}/g)];
  const names = lists.flatMap(([, type = "", list = ""]) =>
    list
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => `${type}${name}`),
  );
  const bare = (name: string): string => name.replace(/^type /, "").replace(/^.* as /, "");
  return `${names.sort((a, b) => (bare(a) < bare(b) ? -1 : 1)).join("\n")}\n`;
}

const packages = readdirSync(PACKAGES).filter((name) => existsSync(join(PACKAGES, name, "src/index.ts")));

/** What is added to a face, or leaves it, is seen in a review: `npx vitest run test/faces.test.ts -u` writes the lists anew. */
test.each(packages)("the public face of %s is a list, and the one that was agreed on", async (name) => {
  const index = readFileSync(join(PACKAGES, name, "src/index.ts"), "utf8");
  expect(index).not.toMatch(/export \*/);
  // Whatever else stands there is a comment.
  expect(
    index
      .replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "")
      .replace(/export (?:type )?\{[^}]*\} from "[^"]+";/g, "")
      .trim(),
  ).toBe("");
  await expect(faceOf(index)).toMatchFileSnapshot(join(import.meta.dirname, "faces", `${name}.txt`));
});
