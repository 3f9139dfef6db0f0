import { parentPort } from "node:worker_threads";
import { DamagedChunk, unpackChunkInto } from "./compression.ts";
import type { DecodeAnswer, DecodeTask } from "./decoder.ts";

/** A thread of {@link openDecoder}: it decodes what it is sent, in order. */
parentPort?.on("message", ({ id, packed, lengths, target, tiles, rawLength }: DecodeTask) => {
  let answer: DecodeAnswer = { id };
  let at = 0;
  for (const [i, tile] of tiles.entries()) {
    const stored = packed.subarray(at, at + (lengths[i] as number));
    at += stored.length;
    try {
      unpackChunkInto(stored, target.subarray(tile * rawLength, (tile + 1) * rawLength));
    } catch (error) {
      answer = { id, tile, reason: String(error), damaged: error instanceof DamagedChunk };
      if (error instanceof DamagedChunk) answer.reason = error.message;
      break;
    }
  }
  parentPort?.postMessage(answer);
});
