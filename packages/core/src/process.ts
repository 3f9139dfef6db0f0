import { readFileSync } from "node:fs";

/**
 * When a process started, clock ticks since boot; undefined when it does not run (a zombie does not). A pid alone proves
 * nothing: it may belong to another program by now.
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything, so count from the last one: state is field 3, start time field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
