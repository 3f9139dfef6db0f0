import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage, onceAMinute } from "@loc2vec/core";
import { explainRefusal, type FarmQueues, placeOf, refusalOf, tryWrites } from "@loc2vec/queue";
import type { Worker } from "bullmq";
import { growingRest } from "./rest.ts";

/** How long the workers take no job after Redis refused one: at first, and at most. */
const REST_MS = [1000, 30_000] as const;
/** After so long without a refusal the next is a new one. */
const OVER_MS = 60_000;

export interface RefusedOptions {
  queues: Pick<FarmQueues, "connection" | "prefix">;
  /** The workers that share the Redis. */
  workers: () => readonly Worker[];
  /** Given when the whole is stopped. */
  stopped: AbortSignal;
  tell: (line: string) => void;
}

/**
 * Lets all workers rest while Redis answers but refuses: as a replica, with a full memory, while it loads. BullMQ would
 * ask again at once, thousands of times a second. Whether it is over is tried out, after 1 s at first and every 30 s at
 * last. Trouble is told once a minute.
 */
export function restWhileRefused({ queues, workers, stopped, tell }: RefusedOptions): {
  /** Takes any error that a worker meets on its own connections. */
  onError(error: unknown): void;
} {
  const { connection, prefix } = queues;
  let resting = false;
  const rests = growingRest(REST_MS);
  let lastRest = Number.NEGATIVE_INFINITY;
  const say = onceAMinute(tell);
  const explain = (error: unknown): string =>
    errorMessage(explainRefusal(error, placeOf(connection), prefix)).replace(/\s+/g, " ");
  const rest = async (): Promise<void> => {
    // It may be something that the trial does not try: then the rests grow on.
    if (performance.now() - lastRest > OVER_MS) rests.reset();
    for (;;) {
      await sleep(rests.nextMs(), undefined, { signal: stopped });
      try {
        await tryWrites(connection, prefix);
        break;
      } catch (error) {
        say(explain(error));
      }
    }
    lastRest = performance.now();
    resting = false;
    for (const worker of workers()) if (!worker.closing) void worker.resume();
  };
  return {
    onError(error) {
      const refusal = refusalOf(error);
      // A blocking read ends like this when the server's role changes: what it does next, tells what that means.
      if (refusal?.code === "UNBLOCKED") return;
      say(explain(error));
      if (refusal === undefined || stopped.aborted) return;
      for (const worker of workers()) void worker.pause(true);
      if (resting) return;
      resting = true;
      rest().catch(() => {}); // stopped
    },
  };
}
