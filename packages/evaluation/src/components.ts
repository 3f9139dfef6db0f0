import { sizeOf } from "@loc2vec/encoder";
import type { Attributes, Tensor2D, Tensorflow } from "@loc2vec/tensorflow";
import type { Representation, TileShape } from "./representation.ts";

/** Rows that are projected at a time. */
const BLOCK = 64;
const EIG: Attributes = { T: { type: "float32" }, compute_v: { bool: true } };

/** Features of a tile, of which principal components are taken. */
export interface Features {
  /** How many a tile has. */
  length: number;
  /** @param tile planar uint8 [channel, y, x] @param into float32 [length] */
  write(tile: Uint8Array, into: Float32Array): void;
}

/**
 * The first principal components of features that are far longer than there are rows to fit: the axes come from the
 * eigenvectors of the rows' inner products (Turk & Pentland 1991, "Eigenfaces", section 2).
 *
 * @param fit tiles to learn the axes from, more than `components`
 */
export function principalComponents(
  { tf, op }: Tensorflow,
  name: string,
  { length, write }: Features,
  fit: readonly Uint8Array[],
  components: number,
): Representation {
  const featuresOf = (tiles: readonly Uint8Array[]): Tensor2D => {
    const data = new Float32Array(tiles.length * length);
    for (const [row, tile] of tiles.entries()) write(tile, data.subarray(row * length, (row + 1) * length));
    return tf.tensor2d(data, [tiles.length, length]);
  };
  const [mean, axes] = tf.tidy(() => {
    const rows = featuresOf(fit);
    const middle = rows.mean(0);
    const centred = rows.sub(middle) as Tensor2D;
    // Eigenvalues rise: the last columns are the first components.
    const [values, vectors] = op("SelfAdjointEigV2", [tf.matMul(centred, centred, false, true)], EIG, 2);
    const top = (vectors as Tensor2D).slice([0, fit.length - components], [fit.length, components]);
    const lengths = (values as Tensor2D)
      .slice([fit.length - components], [components])
      .maximum(1e-12)
      .sqrt();
    return [middle, tf.matMul(centred, top.div(lengths), true).reverse(1)] as const;
  });
  return {
    name,
    size: components,
    describe(tiles) {
      const scores = new Float32Array(tiles.length * components);
      for (let first = 0; first < tiles.length; first += BLOCK) {
        const block = tiles.slice(first, first + BLOCK);
        const projected = tf.tidy(() =>
          tf.matMul(featuresOf(block).sub(mean) as Tensor2D, axes as Tensor2D).dataSync(),
        );
        scores.set(projected as Float32Array, first * components);
      }
      return scores;
    },
    dispose: () => tf.dispose([mean, axes]),
  };
}

/** Every pixel of every channel, 0 to 1. */
export function pixelFeatures({ channels, pixels }: TileShape): Features {
  return {
    length: sizeOf([channels, pixels, pixels]),
    write(tile, into) {
      for (let i = 0; i < into.length; i++) into[i] = (tile[i] as number) / 255;
    },
  };
}

const [CELL, BINS, CLIP] = [16, 9, 0.2];

/**
 * Histograms of oriented gradients (Dalal & Triggs 2005) of each channel: cells of 16×16 pixels, 9 unsigned orientations,
 * blocks of 2×2 cells with L2-Hys normalization.
 */
export function gradientFeatures({ channels, pixels }: TileShape): Features {
  const cells = Math.floor(pixels / CELL);
  const blocks = cells - 1;
  const perBlock = 4 * BINS;
  const histogram = new Float32Array(cells * cells * BINS);
  return {
    length: channels * blocks * blocks * perBlock,
    write(tile, into) {
      for (let channel = 0; channel < channels; channel++) {
        histogram.fill(0);
        const base = channel * pixels * pixels;
        for (let y = 1; y < cells * CELL - 1; y++) {
          for (let x = 1; x < cells * CELL - 1; x++) {
            const at = base + y * pixels + x;
            const dx = (tile[at + 1] as number) - (tile[at - 1] as number);
            const dy = (tile[at + pixels] as number) - (tile[at - pixels] as number);
            if (dx === 0 && dy === 0) continue;
            // Its share goes to the two bins whose middles lie nearest.
            const angle = ((Math.atan2(dy, dx) / Math.PI + 2) % 1) * BINS - 0.5;
            const low = Math.floor(angle);
            const share = angle - low;
            const cell = (Math.floor(y / CELL) * cells + Math.floor(x / CELL)) * BINS;
            const length = Math.hypot(dx, dy);
            const [a, b] = [cell + ((low + BINS) % BINS), cell + ((low + 1) % BINS)];
            histogram[a] = (histogram[a] as number) + length * (1 - share);
            histogram[b] = (histogram[b] as number) + length * share;
          }
        }
        for (let block = 0; block < blocks * blocks; block++) {
          const [row, column] = [Math.floor(block / blocks), block % blocks];
          const at = (channel * blocks * blocks + block) * perBlock;
          for (let part = 0; part < 4; part++) {
            const cell = ((row + (part >> 1)) * cells + column + (part & 1)) * BINS;
            into.set(histogram.subarray(cell, cell + BINS), at + part * BINS);
          }
          hysteresis(into.subarray(at, at + perBlock));
        }
      }
    },
  };
}

/** Scales to length 1, clips, and scales again. */
function hysteresis(block: Float32Array): void {
  for (let round = 0; round < 2; round++) {
    let sum = 1e-6;
    for (const value of block) sum += value * value;
    const scale = 1 / Math.sqrt(sum);
    for (let i = 0; i < block.length; i++) {
      const scaled = (block[i] as number) * scale;
      block[i] = round === 0 ? Math.min(CLIP, scaled) : scaled;
    }
  }
}
