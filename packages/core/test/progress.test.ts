import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { startProgress } from "../src/index.ts";

/** The last line that is shown of so much done. */
function shown(total: number | undefined, done: number): string {
  let text = "";
  const stream = new Writable({
    write(chunk, _, next) {
      text += chunk;
      next();
    },
  });
  const progress = startProgress({
    label: "render",
    total,
    unit: "tiles",
    stream: stream as NodeJS.WriteStream,
  });
  progress.update(done);
  progress.finish();
  return text.trim().split("\n").at(-1) ?? "";
}

test("a share and an ETA are shown where the total is known, and not where it is not", () => {
  expect(shown(126, 63)).toMatch(/^render: 63\/126 tiles \(50%\), \S+ tiles\/s, ETA \S+$/);
  expect(shown(63, 63)).toMatch(/^render: 63\/63 tiles \(100%\), \S+ tiles\/s$/);
  expect(shown(undefined, 63)).toMatch(/^render: 63 tiles, \S+ tiles\/s$/);
  expect(shown(undefined, 0)).toMatch(/^render: 0 tiles, \S+ tiles\/s$/);
});
