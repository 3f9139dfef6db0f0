import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FarmError } from "@loc2vec/core";
import { DamagedChunk } from "./compression.ts";

/** Tiles that a thread is sent at a time. */
const PIECE = 12;
/** One thread decodes several thousand tiles a second, so that few of them feed the fastest GPU. */
const MOST_THREADS = 8;
/** Where the first tile begins in memory, which large buffers have 16 bytes into a page: TensorFlow takes what is aligned at 64 bytes as it is. */
const ALIGNED = 48;

/** What a thread is sent. */
export interface DecodeTask {
  id: number;
  /** Chunks one after another, as stored. */
  packed: Uint8Array;
  /** Their lengths. */
  lengths: readonly number[];
  /** Decoded tiles one after another. It is shared with the thread. */
  target: Uint8Array;
  /** The place of each among them. */
  tiles: readonly number[];
  rawLength: number;
}

/** What it answers: with a tile, where it went wrong. */
export interface DecodeAnswer {
  id: number;
  tile?: number;
  reason?: string;
  damaged?: boolean;
}

/** Decodes tiles in threads of its own, whatever the main thread is busy with. */
export interface Decoder {
  /**
   * Decodes chunks, each of which was packed from `rawLength` bytes.
   *
   * @param chunks as stored; undefined for zeros
   * @param target of {@link sharedMemory}, that the tiles go into; else it is made
   * @returns one tile after another in one piece of memory
   * @throws UndecodedTile for one that is damaged
   */
  decode(
    chunks: readonly (Uint8Array | undefined)[],
    rawLength: number,
    target?: Uint8Array,
  ): Promise<Uint8Array[]>;
  /** Ends the threads. What is decoded at that moment fails. */
  close(): Promise<void>;
}

/** Memory that threads share, zeros at first. */
export const sharedMemory = (length: number): Uint8Array =>
  new Uint8Array(new SharedArrayBuffer(ALIGNED + length), ALIGNED, length);

/** A chunk that could not be decoded. */
export class UndecodedTile extends DamagedChunk {
  /** Which of them. */
  readonly tile: number;

  constructor(tile: number, reason: string) {
    super(reason);
    this.tile = tile;
  }
}

interface Thread {
  worker: Worker;
  /** By id of the task. */
  pending: Map<number, { resolve(): void; reject(error: Error): void }>;
}

/** @param most threads; they start when there is work for them, and do not keep the process alive without */
export function openDecoder(most: number = Math.min(MOST_THREADS, availableParallelism())): Decoder {
  const threads: Thread[] = [];
  let tasks = 0;
  const start = (): Thread => {
    const thread = startThread(() => threads.splice(threads.indexOf(thread), 1));
    threads.push(thread);
    return thread;
  };
  const leastBusy = (): Thread => {
    const [first] = threads.toSorted((a, b) => a.pending.size - b.pending.size);
    return first && (first.pending.size === 0 || threads.length >= most) ? first : start();
  };
  const run = (task: Omit<DecodeTask, "id">): Promise<void> =>
    new Promise((resolve, reject) => {
      const { worker, pending } = leastBusy();
      const id = tasks++;
      pending.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ ...task, id }, [task.packed.buffer as ArrayBuffer]);
    });
  return {
    async decode(chunks, rawLength, target = sharedMemory(chunks.length * rawLength)) {
      const tiles = chunks.map((_, i) => target.subarray(i * rawLength, (i + 1) * rawLength));
      for (const [i, chunk] of chunks.entries()) if (chunk === undefined) tiles[i]?.fill(0);
      const stored = [...chunks.entries()].flatMap(([tile, bytes]) => (bytes ? [{ tile, bytes }] : []));
      const pieces = Array.from({ length: Math.ceil(stored.length / PIECE) }, (_, i) =>
        stored.slice(i * PIECE, (i + 1) * PIECE),
      );
      await Promise.all(
        pieces.map((piece) => {
          const lengths = piece.map(({ bytes }) => bytes.length);
          const packed = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
          let at = 0;
          for (const { bytes } of piece) {
            packed.set(bytes, at);
            at += bytes.length;
          }
          return run({ packed, lengths, target, tiles: piece.map(({ tile }) => tile), rawLength });
        }),
      );
      return tiles;
    },
    close: async () => {
      await Promise.all(threads.map(({ worker }) => worker.terminate()));
    },
  };
}

/** @param onEnd called when it has ended */
function startThread(onEnd: () => void): Thread {
  // The compiler leaves the name in a string as it is.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./decoder-thread.${extension}`, import.meta.url));
  const pending: Thread["pending"] = new Map();
  const fail = (reason: string, cause?: unknown): void => {
    const error = new FarmError("internal", `a thread that decodes tiles ended: ${reason}`, undefined, {
      cause,
    });
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  worker.unref();
  worker.on("message", ({ id, tile, reason = "", damaged }: DecodeAnswer) => {
    const task = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) worker.unref();
    if (tile === undefined) task?.resolve();
    else task?.reject(damaged ? new UndecodedTile(tile, reason) : new FarmError("internal", reason));
  });
  worker.on("error", (error) => fail(String(error), error));
  worker.on("exit", (code) => {
    fail(`exit code ${code}`);
    onEnd();
  });
  return { worker, pending };
}
