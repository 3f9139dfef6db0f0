import { formatDuration } from "@loc2vec/core";

/** A view on a terminal that is drawn anew in its place. */
export function startLive(terminal: NodeJS.WriteStream = process.stdout): {
  draw(lines: readonly string[]): void;
} {
  let drawn = 0;
  return {
    draw(lines) {
      const width = terminal.columns || 100;
      const cut = lines.map((line) => (line.length >= width ? `${line.slice(0, width - 2)}…` : line));
      const up = drawn > 0 ? `\x1b[${drawn}A\x1b[J` : "";
      terminal.write(`${up}${cut.map((line) => `${line}\n`).join("")}`);
      drawn = cut.length;
    },
  };
}

/** `[██████░░░░] 61%` */
export function bar(share: number, width = 40): string {
  const full = Math.round(width * Math.min(1, Math.max(0, share)));
  return `[${"█".repeat(full)}${"░".repeat(width - full)}] ${Math.floor(100 * share)}%`;
}

export const eta = (seconds: number | undefined): string =>
  seconds === undefined ? "" : `, ETA ${formatDuration(seconds)}`;
