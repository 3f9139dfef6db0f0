import { Purpose, type Random, randomOf } from "@loc2vec/core";
import { pca, squaredDistance } from "@loc2vec/numeric";

/** The vectors of the images of some locations. */
export interface Vectors {
  /** Length of a vector. */
  size: number;
  /** Float32 [locations, size]. */
  anchors: Float32Array;
  /** Float32 [locations, positives, size]. */
  positives: Float32Array;
}

export interface Quality {
  /** Share of (anchor, positive, negative) with Δ(a, p) < Δ(a, n), where n is a random image of another location. */
  triplet_accuracy: number;
  /** The same, n being the anchor of the nearest other location on the ground. */
  triplet_accuracy_hard: number;
  /** Share of the positives that have their own anchor among the 1, or 10, nearest of all anchors. Ties count against. */
  recall_at_1: number;
  recall_at_10: number;
  effective_rank: number;
  alignment: number;
  uniformity: number;
}

/**
 * How well vectors tell locations apart.
 *
 * @param nearestOf index of the nearest other location, by index of the location
 * @param seed of the draw of negatives: the same for all that are compared
 */
export function quality(vectors: Vectors, nearestOf: ArrayLike<number>, seed: number): Quality {
  const [at1, at10] = recall(vectors, [1, 10]) as [number, number];
  const locations = vectors.anchors.length / vectors.size;
  const random = randomOf(seed, Purpose.evaluate, 1);
  const other = (location: number): Image => ({
    location: (location + 1 + random.int(locations - 1)) % locations,
    sample: random.int(1 + positivesOf(vectors)),
  });
  return {
    triplet_accuracy: tripletAccuracy(vectors, other),
    triplet_accuracy_hard: tripletAccuracy(vectors, (location) => ({
      location: nearestOf[location] as number,
      sample: 0,
    })),
    recall_at_1: at1,
    recall_at_10: at10,
    effective_rank: effectiveRank(vectors.anchors, vectors.size),
    ...alignmentAndUniformity(vectors, randomOf(seed, Purpose.evaluate, 2)),
  };
}

interface Image {
  location: number;
  /** 0 for the anchor. */
  sample: number;
}

function positivesOf({ anchors, positives }: Vectors): number {
  return positives.length / anchors.length;
}

/** Share of right triplets over all positives, with one negative each. */
export function tripletAccuracy(vectors: Vectors, negativeOf: (location: number) => Image): number {
  const { size, anchors, positives } = vectors;
  const perLocation = positivesOf(vectors);
  const locations = anchors.length / size;
  let right = 0;
  for (let location = 0; location < locations; location++) {
    for (let k = 0; k < perLocation; k++) {
      const near = squaredDistance(
        anchors,
        location * size,
        positives,
        (location * perLocation + k) * size,
        size,
      );
      const { location: other, sample } = negativeOf(location);
      const far =
        sample === 0
          ? squaredDistance(anchors, location * size, anchors, other * size, size)
          : squaredDistance(
              anchors,
              location * size,
              positives,
              (other * perLocation + sample - 1) * size,
              size,
            );
      if (near < far) right++;
    }
  }
  return right / (locations * perLocation);
}

/** Share of the positives whose own anchor is among the `k` nearest anchors, for each `k`. */
export function recall(vectors: Vectors, ks: readonly number[]): number[] {
  const { size, anchors, positives } = vectors;
  const perLocation = positivesOf(vectors);
  const locations = anchors.length / size;
  const hits = ks.map(() => 0);
  for (let query = 0; query < locations * perLocation; query++) {
    const own = Math.floor(query / perLocation);
    const limit = squaredDistance(positives, query * size, anchors, own * size, size);
    let before = 0;
    for (let other = 0; other < locations; other++) {
      if (other === own) continue;
      if (squaredDistance(positives, query * size, anchors, other * size, size) <= limit) before++;
    }
    for (const [at, k] of ks.entries()) if (before < k) hits[at] = (hits[at] as number) + 1;
  }
  return hits.map((count) => count / (locations * perLocation));
}

/**
 * e to the entropy of the eigenvalues of the covariance, as shares (Roy & Vetterli 2007, "The effective rank", applied to
 * the covariance): in how many directions vectors really differ. 1 when all lie on a line.
 *
 * @param data [rows, size]
 */
export function effectiveRank(data: Float32Array, size: number): number {
  const { explained } = pca(data, size, size);
  return Math.exp(explained.reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0));
}

/** Pairs that uniformity is estimated from. */
const PAIRS = 200_000;

/**
 * How near the vectors of a location lie, and how evenly those of all are spread, once scaled to length 1 (Wang & Isola
 * 2020, arXiv 2005.10242, α = 2, t = 2): alignment, the mean squared
 * distance of anchor and positive; uniformity, the logarithm of the mean of e^(−2 Δ²) over anchors of two locations. Lower
 * is better for both.
 */
function alignmentAndUniformity(vectors: Vectors, random: Random): { alignment: number; uniformity: number } {
  const { size } = vectors;
  const perLocation = positivesOf(vectors);
  const [anchors, positives] = [vectors.anchors, vectors.positives].map((data) => unitLength(data, size)) as [
    Float32Array,
    Float32Array,
  ];
  const locations = anchors.length / size;
  let together = 0;
  for (let i = 0; i < locations * perLocation; i++)
    together += squaredDistance(positives, i * size, anchors, Math.floor(i / perLocation) * size, size);
  let spread = 0;
  for (let i = 0; i < PAIRS; i++) {
    const a = random.int(locations);
    const b = (a + 1 + random.int(locations - 1)) % locations;
    spread += Math.exp(-2 * squaredDistance(anchors, a * size, anchors, b * size, size));
  }
  return { alignment: together / (locations * perLocation), uniformity: Math.log(spread / PAIRS) };
}

function unitLength(data: Float32Array, size: number): Float32Array {
  const scaled = new Float32Array(data.length);
  for (let row = 0; row < data.length; row += size) {
    const length = Math.hypot(...data.subarray(row, row + size)) || 1;
    for (let k = row; k < row + size; k++) scaled[k] = (data[k] as number) / length;
  }
  return scaled;
}
