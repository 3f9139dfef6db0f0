/** What {@link writeRanges} writes. */
export const RANGES = /^(\d+(-\d+)?(,\d+(-\d+)?)*)?$/;

/** Numbers in a few characters: `0-99,105`. @param numbers ascending, each once */
export function writeRanges(numbers: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const number of numbers) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === number - 1) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** Undoes {@link writeRanges}. @param text fits {@link RANGES} */
export function readRanges(text: string): number[] {
  if (text === "") return [];
  return text.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
