import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { stderrAddonPath } from "./setup.ts";

const require = createRequire(import.meta.url);

/**
 * What TensorFlow's libraries say on stderr while they are loaded, whatever TF_CPP_MIN_LOG_LEVEL is: that oneDNN is used, and
 * that this is said early. Both come from static initializers, by a logger that no setting reaches then.
 */
const KNOWN: readonly RegExp[] = [
  /^WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR$/,
  /^I\d{4} \S+ +\d+ port\.cc:\d+\] oneDNN custom operations are on\. /,
];

/** What is left of TensorFlow's words without the notices that are known. */
export function withoutNotices(text: string): string {
  return text
    .split(/(?<=\n)/)
    .filter((line) => !KNOWN.some((notice) => notice.test(line.replace(/\r?\n$/, ""))))
    .join("");
}

/**
 * Loads TensorFlow without the two notices; all else that it says on stderr arrives once it is loaded, or the process
 * aborts. Where the set-up has built no such helper, and for who asks for notices with TF_CPP_MIN_LOG_LEVEL=0, they stay.
 */
export function loadWithoutNotices<T>(load: () => T): T {
  const path = stderrAddonPath();
  if (process.env.TF_CPP_MIN_LOG_LEVEL === "0" || path === undefined) return load();
  const stderr = require(path) as { hold(): boolean; release(): string };
  stderr.hold();
  try {
    return load();
  } finally {
    writeAll(withoutNotices(stderr.release()));
  }
}

/** To file descriptor 2 itself, as TensorFlow does. */
function writeAll(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(2, rest));
    } catch (error) {
      // A pipe whose reader is slow; one without a reader takes no more.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
    }
  }
}
