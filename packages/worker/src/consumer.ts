import { setTimeout as sleep } from "node:timers/promises";
import {
  type ErrorKind,
  errorMessage,
  FarmError,
  type JobPayload,
  MismatchError,
  type QueueName,
} from "@loc2vec/core";
import {
  explainRefusal,
  type FarmQueues,
  type JobResults,
  jobName,
  parsePayload,
  placeOf,
} from "@loc2vec/queue";
import {
  DelayedError,
  type Job,
  UnrecoverableError,
  WaitingChildrenError,
  WaitingError,
  Worker,
} from "bullmq";
import { growingRest, jittered } from "./rest.ts";

/** Failures that no further attempt can mend. */
const HOPELESS: readonly ErrorKind[] = ["usage", "input", "data"];
const PROGRESS_MS = 1000;
/** How long a worker takes no job after the store or the map could not be reached: at first, and at most. */
const REST_MS = [1000, 30_000] as const;
/** After so long a job that another worker must do is offered again: at first, and at most. */
const PUT_OFF_MS = [500, 30_000] as const;
/** A worker passes so many jobs on that are not for it, and no more: it must not become Redis's main work. */
const PASSED_PER_SECOND = 20;

/** What a processor returns when other jobs must be done first: it is called again after them. */
export const WAIT_FOR_SHARDS = Symbol("wait for shards");

/** What a processor returns when it has had its time: it is called again when the jobs that wait have had their turn. */
export const GO_ON_LATER = Symbol("go on later");

/** What a processor is given beside its payload. */
export interface Task<Q extends QueueName = QueueName> {
  /** Throw its reason when it is given: the job goes back into the queue, without the loss of an attempt. */
  readonly signal: AbortSignal;
  /** The queues themselves, for jobs that add others. */
  readonly queues: FarmQueues;
  /** Says how far the job is: now and then, never in the way of the work. */
  progress(value: object, last?: boolean): void;
  /** Changes the payload, which a further call is then given. */
  update(payload: JobPayload<Q>): Promise<void>;
  /** Results of the jobs that this one waited for. */
  childResults(): Promise<unknown[]>;
  /** Whether jobs that this one depends on are still to be done. */
  hasOpenChildren(): Promise<boolean>;
}

/** How the jobs of one queue are done. */
export interface Consumer<Q extends QueueName = QueueName> {
  readonly queue: Q;
  /** Jobs at a time. Default 1. */
  readonly concurrency?: number;
  /** When a worker that is stopped asks for its jobs back. Default `grace`: after the grace period; else `at once`. */
  readonly handBack?: "grace" | "at once";
  /**
   * @throws MismatchError when another worker must do it; FarmError `usage`, `input` or `data` for what no attempt can mend;
   * anything else is tried again
   */
  process(
    payload: JobPayload<Q>,
    task: Task<Q>,
  ): Promise<JobResults[Q] | typeof WAIT_FOR_SHARDS | typeof GO_ON_LATER>;
}

export interface ConsumeOptions {
  queues: FarmQueues;
  lockMs: number;
  handBack: AbortSignal;
  onHandBack: () => void;
  onFailure: (id: string, reason: string, final: boolean) => void;
  /** A job was left for other workers. */
  onLeft: (job: LeftJob) => void;
  /** A job was done. */
  onDone: (queue: QueueName, dataset: string) => void;
  /** Whatever BullMQ meets outside of jobs. */
  onError: (error: unknown) => void;
}

/** A job that this worker cannot do, and another may. */
export interface LeftJob {
  queue: QueueName;
  /** Identity of the object store that the data set is in. */
  store: string;
  dataset: string;
  reason: string;
}

/** Begins to do the jobs of a queue. */
export function consume<Q extends QueueName>(
  consumer: Consumer<Q>,
  { queues, lockMs, handBack, onHandBack, onFailure, ...events }: ConsumeOptions,
): Worker {
  const outage = restAfterOutage(() => worker);
  const process = async (job: Job<JobPayload<Q>, JobResults[Q]>, token?: string): Promise<JobResults[Q]> => {
    let later = false;
    let payload: JobPayload<Q> | undefined;
    try {
      payload = parsePayload(consumer.queue, `job ${job.id}`, job.data);
      checkStore(payload, queues);
      const result = await consumer.process(payload, {
        signal: handBack,
        queues,
        progress: progressOf(job),
        update: (changed) => job.updateData(changed),
        childResults: async () => Object.values(await job.getChildrenValues()),
        hasOpenChildren: async () =>
          ((await job.getDependenciesCount({ unprocessed: true })).unprocessed ?? 0) > 0,
      });
      outage.over();
      events.onDone(consumer.queue, payload.dataset);
      later = result === GO_ON_LATER;
      if (!later && result !== WAIT_FOR_SHARDS) return result as JobResults[Q];
    } catch (thrown) {
      const error = explainRefusal(thrown, placeOf(queues.connection), queues.prefix);
      if (handBack.aborted && error === handBack.reason) {
        await job.moveToWait(token);
        onHandBack();
        throw new WaitingError();
      }
      const line = errorMessage(error);
      if (error instanceof MismatchError && payload !== undefined) {
        const { store, dataset } = payload;
        events.onLeft({ queue: consumer.queue, store, dataset, reason: line });
        // For whoever asks where the data set stands.
        if (store === queues.store) await job.updateProgress({ left: line });
        await sleep(1000 / PASSED_PER_SECOND);
        await job.moveToDelayed(Date.now() + putOffMs(job), token);
        throw new DelayedError();
      }
      if (error instanceof FarmError && error.kind === "service") outage.begin();
      if (error instanceof FarmError && HOPELESS.includes(error.kind)) throw new UnrecoverableError(line);
      throw new Error(line, { cause: error });
    }
    if (later) {
      // A job that is put back would be the next; one that was delayed goes behind those that wait. It costs no attempt.
      await job.moveToDelayed(Date.now(), token);
      throw new DelayedError();
    }
    // Should all of them be done by now, the job is put back and called at once.
    if (await job.moveToWaitingChildren(token ?? "")) throw new WaitingChildrenError();
    await job.moveToWait(token);
    throw new WaitingError();
  };
  const worker = new Worker(consumer.queue, process, {
    connection: queues.connection,
    prefix: queues.prefix,
    concurrency: consumer.concurrency ?? 1,
    lockDuration: lockMs,
    lockRenewTime: lockMs / 4,
    stalledInterval: lockMs / 2,
    maxStalledCount: 5,
  });
  worker.on("error", events.onError);
  worker.on("closing", outage.over);
  worker.on("failed", (job, error) => {
    onFailure(
      jobName(job?.id ?? "unknown"),
      error.message,
      job === undefined || job.finishedOn !== undefined,
    );
  });
  return worker;
}

/** @throws MismatchError when the job is of another object store than the worker's */
function checkStore(payload: { store: string }, { store }: FarmQueues): void {
  if (payload.store !== store) throw ofAnotherStore(payload.store, store);
}

export function ofAnotherStore(its: string, own: string): MismatchError {
  return new MismatchError(
    "store-mismatch",
    `jobs of the object store ${its} wait in these queues, too; this worker's store is ${own}`,
    "they are done by workers with that FARM_STORE; a FARM_QUEUE_PREFIX for each store keeps them apart",
  );
}

/** Until a job that was not for this worker is offered again: longer each time, so that idle workers do not pass it round. */
function putOffMs({ attemptsStarted, attemptsMade }: Job): number {
  const times = Math.max(0, attemptsStarted - attemptsMade - 1);
  const [first, most] = PUT_OFF_MS;
  return jittered(Math.min(first * 2 ** Math.min(times, 10), most));
}

/**
 * Lets a worker rest while a service is away: it would else take one job after the other, and spend an attempt of each
 * of them within seconds. Each failure in a row doubles the rest; half of it is random.
 */
function restAfterOutage(worker: () => Worker): { begin(): void; over(): void } {
  const rest = growingRest(REST_MS);
  let timer: NodeJS.Timeout | undefined;
  return {
    begin() {
      if (timer !== undefined || worker().closing) return;
      void worker().pause(true);
      timer = setTimeout(() => {
        timer = undefined;
        if (!worker().closing) worker().resume();
      }, rest.nextMs());
    },
    over() {
      rest.reset();
      clearTimeout(timer);
      if (timer !== undefined && !worker().closing) worker().resume();
      timer = undefined;
    },
  };
}

/** One message at a time, and not more than one a second, but for the last. */
function progressOf(job: Job): Task["progress"] {
  let last = performance.now();
  let sending = false;
  return (value, final = false) => {
    if (sending || (performance.now() - last < PROGRESS_MS && !final)) return;
    last = performance.now();
    sending = true;
    job
      .updateProgress(value)
      .catch(() => {})
      .finally(() => {
        sending = false;
      });
  };
}
