import { readFileSync } from "node:fs";
import type { Affinities } from "./affinities.ts";

/** What is used of WebAssembly: Node's types leave it to those of browsers. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: unknown };
  Memory: new (pages: { initial: number; maximum: number; shared: true }) => SharedMemory;
};

/** WebAssembly's memory, which a thread can be sent. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
}

const PAGE = 65536;
/** Bytes of a node of the tree; see assembly/tree.ts. */
const NODE = 48;
/** Where the first array begins. */
const FIRST = 1024;

/** What assembly/index.ts exports. */
export interface Wasm {
  layout(...numbers: readonly number[]): void;
  grow(): void;
  forces(from: number, to: number): void;
  move(exaggeration: number, momentum: number, rate: number): void;
}

/** Memory of one arrangement, which threads share. */
export interface TsneMemory {
  memory: SharedMemory;
  /** What `layout` of each thread's instance is called with. */
  layout: readonly number[];
  /** Float64 [n, 3]. */
  positions: Float64Array;
  /** Float64 [n]: after forces, each point's share of Z. */
  shares: Float64Array;
}

/**
 * Lays out memory, and puts affinities and first positions in it.
 *
 * @param positions float64 [n, dimensions]
 */
export function createMemory(
  { starts, others, values }: Affinities,
  positions: Float64Array,
  dimensions: number,
  theta: number,
): TsneMemory {
  const count = starts.length - 1;
  let end = FIRST;
  const room = (bytes: number): number => {
    const at = end;
    end += Math.ceil(bytes / 8) * 8;
    return at;
  };
  const points = (): number => room(count * 24);
  const at = {
    ...{ positions: points(), attraction: points(), repulsion: points(), shares: room(count * 8) },
    ...{ updates: points(), gains: points() },
    ...{ starts: room(starts.byteLength), others: room(others.byteLength), values: room(values.byteLength) },
    ...{ codes: room(count * 8), codes2: room(count * 8), order: room(count * 4), order2: room(count * 4) },
    ...{ bins: room(1024), nodes: room(2 * count * NODE) },
  };
  const pages = Math.ceil(end / PAGE);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const { buffer } = memory;
  const placed = new Float64Array(buffer, at.positions, count * 3);
  for (let i = 0; i < count; i++) placed.set(positions.subarray(i * dimensions, (i + 1) * dimensions), i * 3);
  new Float64Array(buffer, at.gains, count * 3).fill(1);
  new Int32Array(buffer, at.starts, starts.length).set(starts);
  new Int32Array(buffer, at.others, others.length).set(others);
  new Float64Array(buffer, at.values, values.length).set(values);
  return {
    memory,
    layout: [count, dimensions, theta, ...Object.values(at)],
    positions: placed,
    shares: new Float64Array(buffer, at.shares, count),
  };
}

/** An instance of the code that works in a memory. */
export function openWasm({ memory, layout }: Pick<TsneMemory, "memory" | "layout">): Wasm {
  const module = new WebAssembly.Module(readFileSync(new URL("../dist/tsne.wasm", import.meta.url)));
  const wasm = new WebAssembly.Instance(module, { env: { memory } }).exports as Wasm;
  wasm.layout(...layout);
  return wasm;
}
