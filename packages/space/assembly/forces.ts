// Forces of t-SNE (van der Maaten & Hinton 2008), with Student's t-distribution of α degrees of freedom (van der Maaten 2009),
// α = 1 in two dimensions and 2 in three: u = 1 / (1 + d² / α), q · Z = u ^ ((α + 1) / 2), Z the sum of the latter over all pairs.
// The gradient of a point is 2 (α + 1) / α · Σ (p − q) · u · (y − other). Repulsion by Barnes and Hut (van der Maaten 2014): all
// points of a cell count as one at their centre, where the cell's side is less than theta times its distance.
import { affinities, attraction, dimensions, nodes, order, others, positions, repulsion, shares, starts, theta2 } from "./memory";
import { NODE } from "./tree";

/** Forces on the points of the ranks from … to − 1: each depends on nothing but tree and positions, whoever computes it. */
export function forces(from: i32, to: i32): void {
  for (let rank = from; rank < to; rank++) {
    const point = load<i32>(order + (<usize>rank << 2));
    attract(point);
    repel(rank, point);
  }
}

function attract(point: i32): void {
  const at = positions + <usize>point * 24;
  const x = load<f64>(at);
  const y = load<f64>(at, 8);
  const z = load<f64>(at, 16);
  const share: f64 = dimensions == 3 ? 0.5 : 1;
  let fx: f64 = 0;
  let fy: f64 = 0;
  let fz: f64 = 0;
  const end = load<i32>(starts + (<usize>point << 2), 4);
  for (let i = load<i32>(starts + (<usize>point << 2)); i < end; i++) {
    const other = positions + <usize>load<i32>(others + (<usize>i << 2)) * 24;
    const dx = x - load<f64>(other);
    const dy = y - load<f64>(other, 8);
    const dz = z - load<f64>(other, 16);
    const force = load<f64>(affinities + (<usize>i << 3)) / (1 + share * (dx * dx + dy * dy + dz * dz));
    fx += force * dx;
    fy += force * dy;
    fz += force * dz;
  }
  const target = attraction + <usize>point * 24;
  store<f64>(target, fx);
  store<f64>(target, fy, 8);
  store<f64>(target, fz, 16);
}

function repel(rank: i32, point: i32): void {
  const here = positions + <usize>point * 24;
  const x = load<f64>(here);
  const y = load<f64>(here, 8);
  const z = load<f64>(here, 16);
  let fx: f64 = 0;
  let fy: f64 = 0;
  let fz: f64 = 0;
  let sum: f64 = 0;
  const spatial = dimensions == 3;
  const share: f64 = spatial ? 0.5 : 1;
  const end = <usize>load<u32>(nodes, 40);
  let at = nodes;
  while (at < end) {
    const dx = x - load<f64>(at);
    const dy = y - load<f64>(at, 8);
    const dz = z - load<f64>(at, 16);
    const d2 = dx * dx + dy * dy + dz * dz;
    const squared = load<f64>(at, 24);
    if (squared >= theta2 * d2) {
      at += NODE;
      continue;
    }
    const mass = load<f64>(at, 32);
    const first = load<i32>(at, 44);
    if (rank >= first && rank < first + <i32>mass) {
      // Its own cell is opened; of its own leaf, the others lie where it lies.
      if (squared < 0) sum += mass - 1;
      at += NODE;
      continue;
    }
    const u = 1 / (1 + share * d2);
    const q = spatial ? mass * u * sqrt(u) : mass * u;
    sum += q;
    const force = q * u;
    fx += force * dx;
    fy += force * dy;
    fz += force * dz;
    at = <usize>load<u32>(at, 40);
  }
  store<f64>(shares + (<usize>point << 3), sum);
  const target = repulsion + <usize>point * 24;
  store<f64>(target, fx);
  store<f64>(target, fy, 8);
  store<f64>(target, fz, 16);
}
