import { double, type Field, float, integer, join, message } from "@loc2vec/encoder";
import { crc32c } from "@loc2vec/numeric";
import type { HistoryEntry } from "./figures.ts";

/**
 * A training from the entry `from` on as an event file of TensorBoard: TFRecords (tensorflow/core/lib/io/record_writer.h)
 * of Event messages (tensorflow/core/util/event.proto) with the scalars of each step. Wall times count the seconds of
 * training from 0, without pauses, so the same history gives the same file.
 */
export function encodeEvents(history: readonly HistoryEntry[], from = 0): Uint8Array {
  let seconds = 0;
  for (let i = 0; i < from; i++) seconds += (history[i] as HistoryEntry).seconds;
  const records = [record(event(seconds, history[from]?.step ?? 0, message(3, "brain.Event:2")))];
  for (const entry of history.slice(from)) {
    seconds += entry.seconds;
    const scalars: [string, number | undefined][] = [
      ["loss", entry.loss],
      ["distance/positive", entry.positive],
      ["distance/negative", entry.negative],
      ["triplet_accuracy", entry.accuracy],
      ["gradient_norm", entry.gradientNorm],
      ["learning_rate", entry.learningRate],
      ["steps_per_second", 1 / entry.seconds],
      ["heldout/triplet_accuracy", entry.heldout?.accuracy],
      ["heldout/nearest", entry.heldout?.nearest],
      ["heldout/loss", entry.heldout?.loss],
    ];
    // Summary.Value: tag = 1 (string), simple_value = 2 (float).
    const values = scalars.flatMap(([tag, value]) =>
      value === undefined ? [] : [message(1, [message(1, tag), float(2, value)])],
    );
    records.push(record(event(seconds, entry.step, message(5, values))));
  }
  return join(records);
}

/** Length, its checksum, data, its checksum; checksums are masked, as data often holds checksums of its own. */
function record(data: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(16 + data.length);
  framed.writeBigUInt64LE(BigInt(data.length), 0);
  framed.writeUInt32LE(masked(framed.subarray(0, 8)), 8);
  framed.set(data, 12);
  framed.writeUInt32LE(masked(data), 12 + data.length);
  return framed;
}

function masked(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** wall_time = 1 (double), step = 2 (int64), then file_version = 3 or summary = 5. */
function event(wallTime: number, step: number, rest: Field): Uint8Array {
  return join([double(1, wallTime), integer(2, step), rest]);
}
