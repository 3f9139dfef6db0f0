import { parentPort } from "node:worker_threads";
import { type Conditional, findConditional } from "./affinities.ts";
import { openWasm, type SharedMemory, type Wasm } from "./tsne-memory.ts";

/** What a thread is told to do. It answers when it is done, with nothing. */
export type TsneTask =
  | {
      kind: "affinities";
      /** Float32 [n, size], shared. */
      vectors: Float32Array;
      size: number;
      perplexity: number;
      range: { from: number; to: number; count: number };
      /** Shared. */
      target: Conditional;
    }
  | { kind: "open"; memory: SharedMemory; layout: readonly number[] }
  | { kind: "grow" }
  | { kind: "forces"; from: number; to: number }
  | { kind: "move"; exaggeration: number; momentum: number; rate: number };

let wasm: Wasm | undefined;

parentPort?.on("message", (task: TsneTask) => {
  if (task.kind === "affinities")
    findConditional(task.vectors, task.size, task.perplexity, task.range, task.target);
  else if (task.kind === "open") wasm = openWasm(task);
  else if (task.kind === "grow") wasm?.grow();
  else if (task.kind === "forces") wasm?.forces(task.from, task.to);
  else {
    // The tree is one thread's work, as moving is: it is grown about the new positions at once.
    wasm?.move(task.exaggeration, task.momentum, task.rate);
    wasm?.grow();
  }
  parentPort?.postMessage("done");
});
