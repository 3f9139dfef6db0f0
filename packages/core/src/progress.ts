/** Progress of long work on stderr: one line that rewrites itself on a terminal, a line every few seconds elsewhere. */
export interface Progress {
  /** Sets how much is done; `note` is shown at the end of the line. */
  update(done: number, note?: string): void;
  /** Ends the line. */
  finish(note?: string): void;
}

export interface ProgressOptions {
  label: string;
  /** Absent where nobody knows: then neither share nor ETA is shown. */
  total?: number | undefined;
  unit: string;
  /** Done before. */
  from?: number;
  stream?: NodeJS.WriteStream;
  quiet?: boolean;
}

export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const s = Math.round(seconds);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}s`;
  return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}m`;
}

/** Shows label, count, share, rate and ETA. */
export function startProgress({
  label,
  total,
  unit,
  from = 0,
  stream = process.stderr,
  quiet = false,
}: ProgressOptions): Progress {
  const started = performance.now();
  const interval = stream.isTTY ? 100 : 5000;
  let last = started;
  let done = from;
  let lastNote = "";
  const line = (): string => {
    const seconds = (performance.now() - started) / 1000;
    const rate = seconds > 0 ? (done - from) / seconds : 0;
    const note = lastNote === "" ? "" : `, ${lastNote}`;
    if (total === undefined) return `${label}: ${done} ${unit}, ${rate.toPrecision(3)} ${unit}/s${note}`;
    const eta = done > from && done < total ? `, ETA ${formatDuration((total - done) / rate)}` : "";
    const share = total > 0 ? Math.floor((100 * done) / total) : 100;
    return `${label}: ${done}/${total} ${unit} (${share}%), ${rate.toPrecision(3)} ${unit}/s${eta}${note}`;
  };
  const show = (end: boolean): void => {
    if (quiet) return;
    stream.write(stream.isTTY ? `\r\x1b[K${line()}${end ? "\n" : ""}` : `${line()}\n`);
  };
  return {
    update(count, note = lastNote) {
      done = count;
      lastNote = note;
      const now = performance.now();
      if (now - last < interval) return;
      last = now;
      show(false);
    },
    finish(note = lastNote) {
      lastNote = note;
      show(true);
    },
  };
}

/** Passes on a line a minute at most; those in between are lost. For trouble that comes again and again. */
export function onceAMinute(tell: (line: string) => void): (line: string) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (line) => {
    if (performance.now() - last < 60_000) return;
    last = performance.now();
    tell(line);
  };
}
