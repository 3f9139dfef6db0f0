// Scan conversion with exact area coverage: every edge adds what it covers to an accumulation buffer, whose running sum along
// a row is the winding number (the same measure as that of AGG, which Mapnik paints with; the layout is that of font-rs).
// Pixels, x to the right, y downwards, (0, 0) the picture's upper left corner.

/** Side of the picture, pixels; a multiple of 16. */
let side: i32 = 0;
let width: f32 = 0;
/** f32 [side, side + 4]: all zero between two shapes. */
let sums: usize = 0;
let stride: usize = 0;
/** i32 [side, 2]: first and last cell of a row that may not be zero. */
let extents: usize = 0;
/** Rows that may not be zero. */
let top: i32 = 0;
let bottom: i32 = 0;

/** Of geometry's coordinates to pixels. */
let originX: f64 = 0;
let originY: f64 = 0;
let scaleX: f64 = 1;
let scaleY: f64 = 1;

/** f32 [n, 2]: points of the line or ring at hand, and of the dash at hand. */
let points: usize = 0;
let dashed: usize = 0;

const FILL: i32 = 1;
const STROKE: i32 = 2;
/** What is done with a geometry; 0: it is passed over. */
let action: i32 = 0;
/** Half the stroke's width. */
let half: f32 = 0;
let roundCap: bool = false;
let dash: f32 = 0;
let gap: f32 = 0;
/** Of the disc that stands for a point. */
let radius: f32 = 0;

/** How far an arc's chord may be from it. */
const FLATNESS: f32 = 0.06;

export function layout(side_: i32, sums_: usize, extents_: usize): void {
  side = side_;
  width = <f32>side;
  sums = sums_;
  stride = <usize>(side + 4) << 2;
  extents = extents_;
  top = side;
  bottom = 0;
  for (let y = 0; y < side; y++) store<u64>(extents + (<usize>y << 3), 0x7fffffff);
}

/** The middle of the picture is (x, y) of the geometry's coordinates, of which one is so many pixels. */
export function place(x: f64, y: f64, scaleX_: f64, scaleY_: f64): void {
  originX = x - <f64>side / 2 / scaleX_;
  originY = y + <f64>side / 2 / scaleY_;
  scaleX = scaleX_;
  scaleY = scaleY_;
}

/**
 * Finds the features of a sequence of (int16 big-endian, WKB little-endian).
 *
 * @param table [n, 2] u32: receives each one's number and the address of its WKB
 * @returns n, or −1 for what is no WKB of two dimensions
 */
export function scan(from: usize, end: usize, table: usize): i32 {
  action = 0;
  let count = 0;
  while (from < end) {
    store<u32>(table, bswap<u16>(load<u16>(from)));
    store<u32>(table, <u32>(from + 2), 4);
    from = walk(from + 2);
    if (from == 0 || from > end) return -1;
    table += 8;
    count++;
  }
  return count;
}

/**
 * Paints features over a plane, one after the other.
 *
 * @param table the first of them in what `scan` found
 * @param plane u8 [side, side]
 * @param value that is painted
 * @param action_ FILL or STROKE
 * @param half_ half the stroke's width, pixels; dash_, gap_ likewise, 0 for a solid line
 * @param radius_ pixels, of points
 * @param room where points may be kept, as many bytes as the features have
 */
export function paint(
  table: usize, count: i32, plane: usize, value: f32, action_: i32,
  half_: f32, roundCap_: i32, dash_: f32, gap_: f32, radius_: f32, room: usize, bytes: usize,
): void {
  action = action_;
  half = half_;
  roundCap = roundCap_ != 0;
  dash = dash_;
  gap = gap_;
  radius = radius_;
  points = room;
  dashed = room + (bytes >> 1);
  for (let i = 0; i < count; i++) {
    walk(<usize>load<u32>(table + (<usize>i << 3), 4));
    sweep(plane, value);
  }
}

/** Goes through a WKB and does `action` with its parts; returns its end, 0 for what it does not know. */
function walk(from: usize): usize {
  if (load<u8>(from) != 1) return 0;
  const type = load<u32>(from, 1);
  from += 5;
  if (type == 1) {
    if (action != 0) point(load<f64>(from), load<f64>(from, 8));
    return from + 16;
  }
  let count = load<u32>(from);
  from += 4;
  if (type == 2) {
    const end = from + (<usize>count << 4);
    if (action == STROKE) {
      const n = read(from, count);
      if (dash > 0) strokeDashes(n);
      else stroke(points, n, false);
    }
    return end;
  }
  if (type == 3) {
    for (let ring: u32 = 0; ring < count; ring++) {
      const size = load<u32>(from);
      from += 4;
      if (action == FILL) fill(read(from, size), ring == 0);
      else if (action == STROKE) stroke(points, read(from, size), true);
      from += <usize>size << 4;
    }
    return from;
  }
  if (type < 4 || type > 7) return 0;
  for (; count > 0; count--) {
    from = walk(from);
    if (from == 0) return 0;
  }
  return from;
}

/** Points to pixels, without those that repeat the one before; returns how many. */
function read(from: usize, count: u32): i32 {
  let n = 0;
  let at = points;
  let lastX: f32 = 0;
  let lastY: f32 = 0;
  const end = from + (<usize>count << 4);
  for (; from < end; from += 16) {
    const x = <f32>((load<f64>(from) - originX) * scaleX);
    const y = <f32>((originY - load<f64>(from, 8)) * scaleY);
    const dx = x - lastX;
    const dy = y - lastY;
    if (n > 0 && dx * dx + dy * dy < 1e-8) continue;
    store<f32>(at, x);
    store<f32>(at, y, 4);
    at += 8;
    lastX = x;
    lastY = y;
    n++;
  }
  return n;
}

/** A ring: outer ones wind one way, inner ones the other, whichever way they were digitized. */
function fill(n: i32, outer: bool): void {
  if (n < 3) return;
  let area: f32 = 0;
  const end = points + (<usize>n << 3);
  // About the first point: far from the picture products would lose their digits.
  const baseX = load<f32>(points);
  const baseY = load<f32>(points, 4);
  let lastX: f32 = 0;
  let lastY: f32 = 0;
  for (let at = points + 8; at < end; at += 8) {
    const x = load<f32>(at) - baseX;
    const y = load<f32>(at, 4) - baseY;
    area += lastX * y - x * lastY;
    lastX = x;
    lastY = y;
  }
  const sign: f32 = area > 0 == outer ? 1 : -1;
  let x0 = load<f32>(end - 8);
  let y0 = load<f32>(end - 8, 4);
  for (let at = points; at < end; at += 8) {
    const x = load<f32>(at);
    const y = load<f32>(at, 4);
    edge(x0, y0, x, y, sign);
    x0 = x;
    y0 = y;
  }
}

function point(x: f64, y: f64): void {
  const px = <f32>((x - originX) * scaleX);
  const py = <f32>((originY - y) * scaleY);
  if (action == FILL) circle(px, py, radius, 1);
  else {
    circle(px, py, radius + half, 1);
    circle(px, py, radius - half, -1);
  }
}

function circle(x: f32, y: f32, r: f32, sign: f32): void {
  if (r <= 0 || outside(x, y, x, y, r)) return;
  arc(x, y, r, 0, 0, r, r, sign);
  arc(x, y, 0, r, -r, 0, r, sign);
  arc(x, y, -r, 0, 0, -r, r, sign);
  arc(x, y, 0, -r, r, 0, r, sign);
}

/** Dashes and gaps from the line's own beginning on. */
function strokeDashes(n: i32): void {
  if (n < 2) return;
  let on = true;
  let left = dash;
  let x0 = load<f32>(points);
  let y0 = load<f32>(points, 4);
  let kept = put(0, x0, y0);
  for (let i = 1; i < n; i++) {
    const at = points + (<usize>i << 3);
    const x1 = load<f32>(at);
    const y1 = load<f32>(at, 4);
    const dx = x1 - x0;
    const dy = y1 - y0;
    const length = sqrt<f32>(dx * dx + dy * dy);
    // A long way outside is not walked dash by dash.
    if (outside(x0, y0, x1, y1, half + dash)) {
      if (on && kept > 1) stroke(dashed, kept, false);
      const period = dash + gap;
      let phase = (on ? dash - left : period - left) + length;
      phase -= floor<f32>(phase / period) * period;
      on = phase < dash;
      left = (on ? dash : period) - phase;
      kept = put(0, x1, y1);
    } else {
      let walked: f32 = 0;
      while (length - walked > left) {
        walked += left;
        const t = walked / length;
        const x = x0 + dx * t;
        const y = y0 + dy * t;
        if (on) {
          kept = put(kept, x, y);
          stroke(dashed, kept, false);
        }
        kept = put(0, x, y);
        on = !on;
        left = on ? dash : gap;
      }
      left -= length - walked;
      if (on) kept = put(kept, x1, y1);
    }
    x0 = x1;
    y0 = y1;
  }
  if (on) stroke(dashed, kept, false);
}

/** Adds a point to the dash at hand; returns how many it has. */
// AssemblyScript knows decorators of functions.
@inline
function put(at: i32, x: f32, y: f32): i32 {
  const to = dashed + (<usize>at << 3);
  store<f32>(to, x);
  store<f32>(to, y, 4);
  return at + 1;
}

/**
 * A line as the union of a rectangle for each segment, a sector for each bend, and half discs for its ends; all wind the same
 * way.
 */
function stroke(line: usize, n: i32, closed: bool): void {
  if (n < 2) return;
  const last = line + (<usize>(n - 1) << 3);
  // A ring's last point repeats its first.
  let x0 = load<f32>(line);
  let y0 = load<f32>(line, 4);
  let dx: f32 = 0;
  let dy: f32 = 0;
  let firstDx: f32 = 0;
  let firstDy: f32 = 0;
  for (let at = line + 8; at <= last; at += 8) {
    const x1 = load<f32>(at);
    const y1 = load<f32>(at, 4);
    let ux = x1 - x0;
    let uy = y1 - y0;
    const length = sqrt<f32>(ux * ux + uy * uy);
    if (length == 0) continue;
    ux *= half / length;
    uy *= half / length;
    if (dx == 0 && dy == 0) {
      firstDx = ux;
      firstDy = uy;
      if (!closed && roundCap) cap(x0, y0, -ux, -uy);
    } else bend(x0, y0, dx, dy, ux, uy);
    if (!outside(x0, y0, x1, y1, half)) {
      edge(x0 + uy, y0 - ux, x1 + uy, y1 - ux, 1);
      edge(x1 + uy, y1 - ux, x1 - uy, y1 + ux, 1);
      edge(x1 - uy, y1 + ux, x0 - uy, y0 + ux, 1);
      edge(x0 - uy, y0 + ux, x0 + uy, y0 - ux, 1);
    }
    dx = ux;
    dy = uy;
    x0 = x1;
    y0 = y1;
  }
  if (dx == 0 && dy == 0) return;
  if (closed) bend(x0, y0, dx, dy, firstDx, firstDy);
  else if (roundCap) cap(x0, y0, dx, dy);
}

/** Half a disc beyond the end of a line that comes from direction (dx, dy), whose length is the radius. */
function cap(x: f32, y: f32, dx: f32, dy: f32): void {
  if (outside(x, y, x, y, half)) return;
  arc(x, y, dy, -dx, dx, dy, half, 1);
  arc(x, y, dx, dy, -dy, dx, half, 1);
  edge(x - dy, y + dx, x + dy, y - dx, 1);
}

/** The sector that is missing on the outside of a bend from direction d to e. */
function bend(x: f32, y: f32, dx: f32, dy: f32, ex: f32, ey: f32): void {
  const cross = dx * ey - dy * ex;
  const dot = dx * ex + dy * ey;
  if (outside(x, y, x, y, half)) return;
  if (dot < 0 && cross * cross < 1e-6 * dot * dot) return cap(x, y, dx, dy);
  if (cross > 0) {
    edge(x, y, x + dy, y - dx, 1);
    arc(x, y, dy, -dx, ey, -ex, half, 1);
    edge(x + ey, y - ex, x, y, 1);
  } else if (cross < 0) {
    edge(x, y, x - ey, y + ex, 1);
    arc(x, y, -ey, ex, -dy, dx, half, 1);
    edge(x - dy, y + dx, x, y, 1);
  }
}

/** An arc about (x, y) from its radius u to its radius v, less than half a turn away. */
function arc(x: f32, y: f32, ux: f32, uy: f32, vx: f32, vy: f32, r: f32, sign: f32): void {
  const mx = ux + vx;
  const my = uy + vy;
  const length = sqrt<f32>(mx * mx + my * my);
  if (r - length * 0.5 < FLATNESS) return edge(x + ux, y + uy, x + vx, y + vy, sign);
  const scale = r / length;
  arc(x, y, ux, uy, mx * scale, my * scale, r, sign);
  arc(x, y, mx * scale, my * scale, vx, vy, r, sign);
}

// AssemblyScript knows decorators of functions.
@inline
function outside(x0: f32, y0: f32, x1: f32, y1: f32, reach: f32): bool {
  return (
    max(x0, x1) < -reach || max(y0, y1) < -reach || min(x0, x1) > width + reach || min(y0, y1) > width + reach
  );
}

/** Cuts an edge to the picture. What lies to its left covers whole rows, what lies to its right nothing. */
function edge(x0: f32, y0: f32, x1: f32, y1: f32, sign: f32): void {
  if (y0 > y1) {
    const x = x0;
    x0 = x1;
    x1 = x;
    const y = y0;
    y0 = y1;
    y1 = y;
    sign = -sign;
  }
  if (y1 <= 0 || y0 >= width || y0 == y1 || (x0 >= width && x1 >= width)) return;
  const slope = (x1 - x0) / (y1 - y0);
  if (y1 > width) {
    x1 = x0 + (width - y0) * slope;
    y1 = width;
  }
  if (y0 < 0) {
    x0 -= y0 * slope;
    y0 = 0;
  }
  if (x0 <= 0 && x1 <= 0) return rows(0, y0, 0, y1, sign);
  if (x0 < 0) {
    const y = min(y1, y0 - x0 / slope);
    rows(0, y0, 0, y, sign);
    x0 = 0;
    y0 = y;
  } else if (x1 < 0) {
    const y = min(y1, y0 - x0 / slope);
    rows(0, y, 0, y1, sign);
    x1 = 0;
    y1 = y;
  }
  if (x0 > width) {
    if (x1 >= width) return;
    y0 = min(y1, y0 + (width - x0) / slope);
    x0 = width;
  } else if (x1 > width) {
    y1 = min(y1, y0 + (width - x0) / slope);
    x1 = width;
  }
  rows(x0, y0, x1, y1, sign);
}

/** Adds an edge that goes downwards within the picture. */
function rows(x0: f32, y0: f32, x1: f32, y1: f32, sign: f32): void {
  if (!(y0 < y1)) return;
  const slope = (x1 - x0) / (y1 - y0);
  const first = <i32>y0;
  const end = min(<i32>ceil<f32>(y1), side);
  top = min(top, first);
  bottom = max(bottom, end);
  let x = x0;
  for (let y = first; y < end; y++) {
    const dy = min(<f32>(y + 1), y1) - max(<f32>y, y0);
    const next = max<f32>(0, min<f32>(width, x + slope * dy));
    const left = min(x, next);
    const right = max(x, next);
    const cover = dy * sign;
    const begin = <i32>left;
    const leftFloor = <f32>begin;
    const stop = <i32>ceil<f32>(right);
    const row = extents + (<usize>y << 3);
    store<i32>(row, min(load<i32>(row), begin));
    store<i32>(row, max(load<i32>(row, 4), max(stop, begin + 1)), 4);
    let cell = sums + <usize>y * stride + (<usize>begin << 2);
    if (stop <= begin + 1) {
      const beyond: f32 = cover * (<f32>0.5 * (x + next) - leftFloor);
      store<f32>(cell, load<f32>(cell) + cover - beyond);
      store<f32>(cell, load<f32>(cell, 4) + beyond, 4);
    } else {
      const s: f32 = <f32>1 / (right - left);
      const inFirst: f32 = <f32>1 - (left - leftFloor);
      const inLast = right - <f32>(stop - 1);
      const a0: f32 = <f32>0.5 * s * inFirst * inFirst;
      const am: f32 = <f32>0.5 * s * inLast * inLast;
      store<f32>(cell, load<f32>(cell) + cover * a0);
      if (stop == begin + 2) {
        store<f32>(cell, load<f32>(cell, 4) + cover * (<f32>1 - a0 - am), 4);
        store<f32>(cell, load<f32>(cell, 8) + cover * am, 8);
      } else {
        const a1: f32 = s * (inFirst + <f32>0.5);
        store<f32>(cell, load<f32>(cell, 4) + cover * (a1 - a0), 4);
        const step = cover * s;
        cell += 8;
        for (let i = begin + 2; i < stop - 1; i++) {
          store<f32>(cell, load<f32>(cell) + step);
          cell += 4;
        }
        const a2 = a1 + <f32>(stop - begin - 3) * s;
        store<f32>(cell, load<f32>(cell) + cover * (<f32>1 - a2 - am));
        store<f32>(cell, load<f32>(cell, 4) + cover * am, 4);
      }
    }
    x = next;
  }
}

/** Paints what the edges enclose (non-zero winding) over the plane, and leaves the sums zero. */
function sweep(plane: usize, value: f32): void {
  const colour = f32x4.splat(value);
  const solid = <u32>value * 0x01010101;
  const one = f32x4.splat(1);
  const rounding = f32x4.splat(0.5);
  const none = i32x4.splat(0);
  for (let y = top; y < bottom; y++) {
    const extent = extents + (<usize>y << 3);
    const begin = load<i32>(extent) & ~3;
    const end = min(load<i32>(extent, 4), side + 3);
    store<u64>(extent, 0x7fffffff);
    const row = sums + <usize>y * stride;
    const to = plane + <usize>(y * side);
    let sum: f32 = 0;
    // Where the edge that ends a shape lies beyond the right border, the shape reaches the border.
    for (let x = begin; x <= end || (x < side && abs<f32>(sum) > 0.001); x += 4) {
      const at = row + (<usize>x << 2);
      let v = v128.load(at);
      if (!v128.any_true(v)) {
        const cover = abs<f32>(sum);
        if (cover < 0.001) continue;
        if (cover > 0.999) {
          if (x < side) store<u32>(to + x, solid);
          continue;
        }
      } else v128.store(at, none);
      v = f32x4.add(v, i8x16.shuffle(none, v, 0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27));
      v = f32x4.add(v, i8x16.shuffle(none, v, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
      v = f32x4.add(v, f32x4.splat(sum));
      sum = f32x4.extract_lane(v, 3);
      if (x >= side) continue;
      const cover = f32x4.min(f32x4.abs(v), one);
      const under = f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(to + x))));
      const over = f32x4.add(under, f32x4.mul(f32x4.sub(colour, under), cover));
      const whole = i32x4.trunc_sat_f32x4_u(f32x4.add(over, rounding));
      const words = i16x8.narrow_i32x4_u(whole, whole);
      v128.store_lane<u32>(to + x, i8x16.narrow_i16x8_u(words, words), 0);
    }
  }
  top = side;
  bottom = 0;
}

/**
 * Hexadecimal digits (0–9, a–f) to bytes.
 *
 * @param count bytes to write; up to 7 more are written than that
 */
export function unhex(from: usize, to: usize, count: i32): void {
  const end = to + <usize>count;
  for (; to < end; to += 8) {
    let v = i8x16.sub(v128.load(from), i8x16.splat(0x30));
    v = i8x16.sub(v, v128.and(i8x16.gt_s(v, i8x16.splat(9)), i8x16.splat(0x27)));
    v = v128.and(v128.or(i16x8.shl(v, 4), i16x8.shr_u(v, 8)), i16x8.splat(0xff));
    v128.store_lane<u64>(to, i8x16.narrow_i16x8_u(v, v), 0);
    from += 16;
  }
}
