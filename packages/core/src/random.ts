/**
 * Counter-based randomness: every draw is a pure function of integer keys, so a tile, a shard or a mini-batch
 * comes out the same on every machine, in any order, after any crash.
 */

/** MurmurHash3's 32-bit finalizer (Appleby, public domain): a bijection on uint32 with full avalanche. */
function fmix32(h: number): number {
  let x = h >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Folds integer keys (|key| < 2^53) into one uint32. Order matters: `hashKeys(1, 2) !== hashKeys(2, 1)`. */
export function hashKeys(...keys: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const key of keys) h = fold(h, key);
  return h;
}

function fold(h: number, key: number): number {
  const low = key >>> 0;
  const high = Math.floor(key / 4294967296) >>> 0;
  const mixed = fmix32(Math.imul(h ^ low, 0xcc9e2d51) + 0x6b43a9b5);
  return fmix32(Math.imul(mixed ^ high, 0x1b873593) + 0xe6546b64);
}

export interface Random {
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, n). `n` in 1 … 2^32. */
  int(n: number): number;
  /** Standard normal (Box–Muller). */
  normal(): number;
  /** Fisher–Yates, in place; returns the same array. */
  shuffle<T>(items: T[]): T[];
  /** The generator's four state words, to checkpoint with; `randomFromState` continues from them. */
  state(): [number, number, number, number];
}

/** sfc32 (Doty-Humphrey, PractRand): 128 bits of state, passes BigCrush. */
export function randomFromState(state: readonly [number, number, number, number]): Random {
  let [a, b, c, d] = state;
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  const uniform = (): number => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
  return {
    uniform,
    int: (n) => Math.floor(uniform() * n),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = Math.floor(uniform() * (i + 1));
        const held = items[i] as (typeof items)[number];
        items[i] = items[j] as (typeof items)[number];
        items[j] = held;
      }
      return items;
    },
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
}

/**
 * A generator keyed by integers, e.g. `randomOf(datasetSeed, Purpose.augment, locationIndex, sampleIndex)`.
 *
 * All keys pass through one 32-bit hash, so two different lists of keys give the same stream with probability 2⁻³². Among n
 * streams that are n² / 2³³ pairs: 115,500 among the 31.5 M tiles of a whole run. Such a pair is two tiles that are turned and
 * shifted by the same amounts at two places that have nothing to do with one another, as a draw of finite precision gives
 * now and then too; each number by itself, and numbers within a stream, are as random as sfc32's. A hash of 64 bits would
 * change every tile of every data set, for no difference that a training could see.
 */
export function randomOf(...keys: readonly number[]): Random {
  const h = hashKeys(...keys);
  const random = randomFromState([fold(h, 1), fold(h, 2), fold(h, 3), 1]);
  for (let i = 0; i < 6; i++) random.uniform();
  return random;
}

/** What a draw is for: one number each, the first key after the seed, so that no two kinds of draw share a stream. */
export const Purpose = {
  augment: 1,
  sampleLocations: 2,
  shuffleShards: 3,
  batch: 4,
  channelDrop: 5,
  initWeights: 6,
  dropout: 7,
  evaluate: 8,
  holdout: 9,
  judge: 10,
  overlap: 11,
  mix: 12,
  insight: 13,
  walk: 14,
  explore: 15,
  venues: 16,
  probe: 17,
} as const;
