import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { documents, ROOT, withoutCodeBlocks } from "./support/documents.ts";

const DOCUMENTS = documents();

/** `[text](target)`, pictures too; a title after the target is left out. */
const LINK = /!?\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)[^)]*\)/g;

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of withoutCodeBlocks(text).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = words.replace(/[^\p{L}\p{N}\s_-]/gu, "").replace(/\s/g, "-");
    let anchor = slug;
    for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`;
    anchors.add(anchor);
  }
  return anchors;
}

test("an anchor is made of a heading as GitHub does it", () => {
  const text = "# What's `a-b`, [and](x.md)?\n\n## Size\n\n```\n# none\n```\n\n## Size\n";
  expect([...anchorsOf(text)]).toEqual(["whats-a-b-and", "size", "size-1"]);
});

test("there are documents, and they have links", () => {
  const paths = DOCUMENTS.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(["README.md", "docs/glossary.md", "packages/core/README.md"]));
  expect(
    [...(DOCUMENTS.find(({ path }) => path === "README.md")?.text ?? "").matchAll(LINK)].length,
  ).toBeGreaterThan(10);
});

test.each(DOCUMENTS.map(({ path, text }) => [path, text] as const))(
  "%s: every link leads to a file that is there, to a heading that it has, to a name that is in it",
  (path, text) => {
    const broken: string[] = [];
    for (const [, label = "", target = ""] of withoutCodeBlocks(text).matchAll(LINK)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const place = file === "" ? join(ROOT, path) : join(ROOT, dirname(path), decodeURIComponent(file));
      if (!existsSync(place)) {
        broken.push(`${target}: no such file`);
        continue;
      }
      if (relative(ROOT, place).startsWith("..")) broken.push(`${target}: outside the project`);
      if (statSync(place).isDirectory()) {
        if (anchor !== undefined) broken.push(`${target}: a folder has no headings`);
        continue;
      }
      if (anchor !== undefined && !anchorsOf(readFileSync(place, "utf8")).has(anchor))
        broken.push(`${target}: no such heading`);
      // A link whose text is a name in code promises that the file has it.
      const name = /^`(\w+)`$/.exec(label)?.[1];
      if (name !== undefined && /\.(?:ts|py|mjs)$/.test(file)) {
        const words = new RegExp(`\\b${name}\\b`);
        if (!words.test(readFileSync(place, "utf8"))) broken.push(`${target}: has no ${name}`);
      }
    }
    expect(broken).toEqual([]);
  },
);
