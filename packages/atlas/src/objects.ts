import { mean } from "@loc2vec/numeric";
import type { City, Drawing } from "./drawing.ts";

/** How much of some tiles each channel covers. */
export interface Cover {
  /** The tiles' locations. */
  locations: readonly number[];
  /** Shares of the anchor's pixels that have something, one for each channel; in the order of the locations. */
  shares: readonly (readonly number[])[];
}

/** Tiles that are read at a time. */
const AT_A_TIME = 64;

/** Looks at the anchors of some locations. */
export async function coverOf(
  { dataset, tile }: City,
  locations: readonly number[],
  signal?: AbortSignal,
): Promise<Cover> {
  const count = dataset.channels.length;
  const area = dataset.pixels ** 2;
  const shares: number[][] = [];
  for (let from = 0; from < locations.length; from += AT_A_TIME) {
    signal?.throwIfAborted();
    const tiles = await Promise.all(locations.slice(from, from + AT_A_TIME).map((at) => tile(at, 0)));
    for (const bytes of tiles)
      shares.push(
        Array.from({ length: count }, (_, channel) => {
          let filled = 0;
          for (let i = channel * area; i < (channel + 1) * area; i++) if (bytes[i] !== 0) filled++;
          return filled / area;
        }),
      );
  }
  return { locations, shares };
}

/** Tiles that say what is usual. */
const LOOKED_AT = { full: 2000, quick: 400 } as const;

const typical = new WeakMap<Drawing, Promise<Cover>>();

/** What a city's tiles usually show, by some random ones, which are read for the first figure that asks. */
export function typicalCover(drawing: Drawing): Promise<Cover> {
  const { shuffled, effort, signal } = drawing;
  const cover = typical.get(drawing) ?? coverOf(drawing, shuffled.slice(0, LOOKED_AT[effort]), signal);
  typical.set(drawing, cover);
  return cover;
}

/** Mean and standard deviation of each channel's cover. */
export interface Usual {
  means: readonly number[];
  deviations: readonly number[];
}

/** What is usual among some tiles. */
export function usualOf({ shares }: Cover): Usual {
  const count = shares[0]?.length ?? 0;
  const means = Array.from({ length: count }, (_, channel) => meanOf(shares, channel));
  const deviations = means.map((middle, channel) =>
    Math.sqrt(
      shares.reduce((sum, each) => sum + ((each[channel] as number) - middle) ** 2, 0) /
        Math.max(1, shares.length),
    ),
  );
  return { means, deviations };
}

/** How far the mean cover of some rows lies from what is usual, in deviations of a single tile, by channel. */
export function beyondUsual({ shares }: Cover, rows: readonly number[], usual: Usual): number[] {
  const own = rows.map((row) => shares[row] as readonly number[]);
  return usual.means.map((middle, channel) => {
    const deviation = usual.deviations[channel] as number;
    return deviation > 0 ? (meanOf(own, channel) - middle) / deviation : 0;
  });
}

function meanOf(shares: readonly (readonly number[])[], channel: number): number {
  return mean(shares.map((each) => each[channel] as number));
}

/** A channel in few words: its title up to a colon. */
export function channelWords({ profile }: Pick<Drawing, "profile">, channel: number): string {
  const title = profile.channels[channel]?.title as string;
  return (title.split(":")[0] as string).toLowerCase();
}

/** The commonest map objects of a tile, at most `count`: `buildings 31 %, paths 12 %`. */
export function commonest(
  drawing: Pick<Drawing, "profile">,
  shares: readonly number[],
  count: number,
): string {
  const order = [...shares.entries()].filter(([, share]) => share >= 0.005).sort(([, a], [, b]) => b - a);
  if (order.length === 0) return "nothing";
  return order
    .slice(0, count)
    .map(([channel, share]) => `${channelWords(drawing, channel)} ${Math.round(100 * share)}\u00a0%`)
    .join(", ");
}
