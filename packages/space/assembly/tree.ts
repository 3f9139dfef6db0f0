// The octree, in two dimensions a quadtree: nodes in depth-first order, each with where its subtree ends, so that it is walked
// without a stack. A node of 48 bytes: f64 x, y, z of the centre of mass; f64 squared side of its cell, −1 of a leaf; f64 mass,
// which is a number of points; u32 address of the first node behind its subtree; i32 rank of its first point.
import { bins, codes, codes2, count, nodes, order, order2, positions } from "./memory";

export const NODE: usize = 48;
/** Halvings of the root's side, bits of a coordinate in a Morton code. */
const LEVELS: i32 = 21;

/** The side of the root's cell. */
let side: f64 = 0;
/** Address behind the last node. */
let top: usize = 0;

/** Builds the tree about the points as they lie, and puts them in its order. */
export function grow(): void {
  encode();
  sort();
  top = nodes;
  branch(0, count);
}

/** Morton codes within the smallest cube at the least coordinates that holds all points. */
function encode(): void {
  let x0 = Infinity;
  let y0 = Infinity;
  let z0 = Infinity;
  let x1 = -Infinity;
  let y1 = -Infinity;
  let z1 = -Infinity;
  for (let i = 0; i < count; i++) {
    const at = positions + <usize>i * 24;
    x0 = min(x0, load<f64>(at));
    y0 = min(y0, load<f64>(at, 8));
    z0 = min(z0, load<f64>(at, 16));
    x1 = max(x1, load<f64>(at));
    y1 = max(y1, load<f64>(at, 8));
    z1 = max(z1, load<f64>(at, 16));
  }
  side = max(x1 - x0, max(y1 - y0, z1 - z0));
  const scale = side > 0 ? <f64>(1 << LEVELS) / side : 0;
  for (let i = 0; i < count; i++) {
    const at = positions + <usize>i * 24;
    const code = spread((load<f64>(at) - x0) * scale)
      | (spread((load<f64>(at, 8) - y0) * scale) << 1)
      | (spread((load<f64>(at, 16) - z0) * scale) << 2);
    store<u64>(codes + (<usize>i << 3), code);
    store<i32>(order + (<usize>i << 2), i);
  }
}

/** 21 bits, two zeros after each. */
function spread(value: f64): u64 {
  let x = <u64>min(value, <f64>((1 << LEVELS) - 1));
  x = (x | (x << 32)) & 0x1f00000000ffff;
  x = (x | (x << 16)) & 0x1f0000ff0000ff;
  x = (x | (x << 8)) & 0x100f00f00f00f00f;
  x = (x | (x << 4)) & 0x10c30c30c30c30c3;
  return (x | (x << 2)) & 0x1249249249249249;
}

/** Points by their codes, equal ones by their numbers: radix sort, eight bits at a time. After eight passes all is back where it was. */
function sort(): void {
  let codesFrom = codes;
  let codesTo = codes2;
  let orderFrom = order;
  let orderTo = order2;
  for (let shift: u64 = 0; shift < 64; shift += 8) {
    memory.fill(bins, 0, 1024);
    for (let i = 0; i < count; i++) {
      const bin = bins + (<usize>((load<u64>(codesFrom + (<usize>i << 3)) >> shift) & 255) << 2);
      store<u32>(bin, load<u32>(bin) + 1);
    }
    let sum: u32 = 0;
    for (let bin = bins; bin < bins + 1024; bin += 4) {
      const size = load<u32>(bin);
      store<u32>(bin, sum);
      sum += size;
    }
    for (let i = 0; i < count; i++) {
      const code = load<u64>(codesFrom + (<usize>i << 3));
      const bin = bins + (<usize>((code >> shift) & 255) << 2);
      const to = load<u32>(bin);
      store<u32>(bin, to + 1);
      store<u64>(codesTo + (<usize>to << 3), code);
      store<i32>(orderTo + (<usize>to << 2), load<i32>(orderFrom + (<usize>i << 2)));
    }
    const codesHeld = codesFrom;
    codesFrom = codesTo;
    codesTo = codesHeld;
    const orderHeld = orderFrom;
    orderFrom = orderTo;
    orderTo = orderHeld;
  }
}

/** The node of the points of the ranks start … end − 1. Cells that have one child alone are left out. */
function branch(start: i32, end: i32): void {
  const at = top;
  top += NODE;
  let x: f64 = 0;
  let y: f64 = 0;
  let z: f64 = 0;
  let squared: f64 = -1;
  const differ = load<u64>(codes + (<usize>start << 3)) ^ load<u64>(codes + (<usize>(end - 1) << 3));
  if (differ != 0) {
    // The digit in which the points of this cell first differ.
    const level = (63 - <i32>clz(differ)) / 3;
    const width = side / <f64>(1 << (LEVELS - 1 - level));
    squared = width * width;
    for (let from = start; from < end;) {
      const digit = load<u64>(codes + (<usize>from << 3)) >> (3 * level);
      let to = from + 1;
      while (to < end && load<u64>(codes + (<usize>to << 3)) >> (3 * level) == digit) to++;
      const child = top;
      branch(from, to);
      const mass = <f64>(to - from);
      x += load<f64>(child) * mass;
      y += load<f64>(child, 8) * mass;
      z += load<f64>(child, 16) * mass;
      from = to;
    }
  } else {
    for (let rank = start; rank < end; rank++) {
      const point = positions + <usize>load<i32>(order + (<usize>rank << 2)) * 24;
      x += load<f64>(point);
      y += load<f64>(point, 8);
      z += load<f64>(point, 16);
    }
  }
  const mass = <f64>(end - start);
  store<f64>(at, x / mass);
  store<f64>(at, y / mass, 8);
  store<f64>(at, z / mass, 16);
  store<f64>(at, squared, 24);
  store<f64>(at, mass, 32);
  store<u32>(at, <u32>top, 40);
  store<i32>(at, start, 44);
}
