/** Every second byte of four. */
const EVEN = 0x00ff00ff;
/** 2 beside each of two sums of four: their quarters are rounded to the nearest, and half up. */
const HALF = 0x00020002;

/**
 * Halves planar images: each byte that is written is the rounded mean of 2 × 2, ⌊(a + b + c + d + 2) / 4⌋.
 *
 * @param from uint8 [channel, y, x], the side even
 * @param to uint8 [channel, y / 2, x / 2]
 * @param side of the images in `from`, pixels
 */
export function halve(from: Uint8Array, to: Uint8Array, side: number): void {
  const isWhole = side % 8 === 0 && from.byteOffset % 4 === 0 && to.byteOffset % 4 === 0;
  if (isWhole) halveWords(wordsOf(from), wordsOf(to), side / 4);
  else halveBytes(from, to, side);
}

const wordsOf = ({ buffer, byteOffset, length }: Uint8Array): Uint32Array =>
  new Uint32Array(buffer, byteOffset, length / 4);

/** Four bytes at a time, two of which share a number's halves. @param width words of a row in `from` */
function halveWords(from: Uint32Array, to: Uint32Array, width: number): void {
  let at = 0;
  for (let row = 0; row < from.length; row += 2 * width) {
    for (let i = row; i < row + width; i += 2) {
      const low = sums(from[i] as number, from[i + width] as number);
      const high = sums(from[i + 1] as number, from[i + width + 1] as number);
      to[at++] = ((low | (low >>> 8)) & 0xffff) | ((high | (high >>> 8)) << 16);
    }
  }
}

/** The means of two squares, in a word's bytes 0 and 2. @param above two pairs of bytes; `below` those under them */
const sums = (above: number, below: number): number =>
  (((above & EVEN) + ((above >>> 8) & EVEN) + (below & EVEN) + ((below >>> 8) & EVEN) + HALF) >>> 2) & EVEN;

function halveBytes(from: Uint8Array, to: Uint8Array, side: number): void {
  const half = side / 2;
  for (let at = 0; at < to.length; at++) {
    const above = 2 * (Math.floor(at / half) * side + (at % half));
    const below = above + side;
    const sum =
      (from[above] as number) +
      (from[above + 1] as number) +
      (from[below] as number) +
      (from[below + 1] as number);
    to[at] = (sum + 2) >>> 2;
  }
}
