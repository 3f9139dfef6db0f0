import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { FarmError, processStart } from "@loc2vec/core";
import { describe, type ObjectStore } from "@loc2vec/shards";
import { z } from "zod";

/**
 * Who may write something in the object store. Each holder writes an object of its own, `000000007.json`, into one folder,
 * which only one can create; the highest number holds. So nobody has to change an object that another may be changing: who takes
 * over creates the next, and who was taken over finds it before it writes anything else. The last holder's object stays,
 * marked as released: was it removed, its number could be had again, and one that slept meanwhile would believe it still
 * held it.
 */

/** Length of a lease: it is renewed six times in it, watched when half as much has passed again, and had after twice as much. */
const LEASE_MS = 45_000;
/** A clock may be ahead of ours by so much before its times are taken for wrong. */
const AHEAD_MS = 5_000;

const leaseSchema = z.object({
  version: z.literal(1),
  holder: z.uuid(),
  host: z.string(),
  pid: z.int(),
  /** Where `pid` means something, see {@link placeOf}; and when that process started. */
  place: z.string().optional(),
  started: z.string().optional(),
  /** When it was had, and when it was last renewed, by the holder's clock. */
  since: z.iso.datetime(),
  renewed: z.iso.datetime(),
  /** How often it was renewed: it tells a holder that lives from one that does not, whatever the clocks say. */
  renewals: z.int(),
  released: z.boolean(),
});

type LeaseObject = z.infer<typeof leaseSchema>;

/** A lease in the store, by the number of its object. */
interface StoredLease {
  generation: number;
  lease: LeaseObject;
}

export interface LeaseOptions {
  /** For messages: what is held, e.g. `model city`; and what it is held for, e.g. `training`. */
  what: string;
  purpose: string;
  /** How long it lasts without being renewed, milliseconds. Default 45,000. */
  leaseMs?: number | undefined;
  /** How long to wait for another holder to end, or to be stored dead, milliseconds. Default 0. */
  waitMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told once, for people, when it takes a while. */
  onWait?: ((line: string) => void) | undefined;
}

export interface Lease {
  /** Given when it is lost to another; its reason is the FarmError. */
  readonly lost: AbortSignal;
  /** Renews it when the timer was kept from doing so. @throws FarmError `lease-held` when it is lost */
  check(): Promise<void>;
  /** Sees in the store that it is still held, and renews it: to be done before each write. @throws FarmError `lease-held` when it is lost */
  confirm(): Promise<void>;
  /** Lets it go; renewing ends. */
  release(): Promise<void>;
}

/**
 * Takes the lease that lies in a folder of the store. One that was released, or whose holder was a process of this machine that has ended, is had
 * at once. One that was not renewed for one and a half times its length is watched for half its length more, as its
 * holder's clock may be wrong, and had if it still is not renewed.
 *
 * @throws FarmError `lease-held` naming the holder, when there is one; `service` when the store cannot be reached
 */
export async function acquireLease(
  store: ObjectStore,
  folder: string,
  options: LeaseOptions,
): Promise<Lease> {
  const { leaseMs = LEASE_MS, waitMs = 0, signal, what, purpose, onWait } = options;
  const deadline = performance.now() + waitMs;
  let told = false;
  const tell = ({ lease }: StoredLease): void => {
    if (!told)
      onWait?.(
        `${what}: another ${purpose} (${describeHolder(lease)}, heard of ${secondsSince(lease)} s ago) may still live: waiting for a sign of it`,
      );
    told = true;
  };
  for (;;) {
    const stored = await newest(store, folder);
    if (stored === undefined || (await isFree(store, folder, stored, { leaseMs, signal, tell }))) {
      const generation = (stored?.generation ?? 0) + 1;
      const own = newLease();
      await store.put(keyOf(folder, generation), encode(own), { ifAbsent: true });
      // What is there decides: an answer may get lost, and not every store keeps two from writing at once.
      const winner = await newest(store, folder);
      if (winner?.generation === generation && winner.lease.holder === own.holder) {
        await removeOlder(store, folder, generation);
        return hold(store, folder, generation, own, options);
      }
      continue;
    }
    if (performance.now() >= deadline) throw held(store, folder, stored, options);
    tell(stored);
    await sleep(leaseMs / 12, undefined, { signal });
  }
}

function hold(
  store: ObjectStore,
  folder: string,
  generation: number,
  own: LeaseObject,
  options: LeaseOptions,
): Lease {
  const { leaseMs = LEASE_MS, what, purpose } = options;
  const key = keyOf(folder, generation);
  const losing = new AbortController();
  let current = own;
  let renewedAt = performance.now();
  let renewing: Promise<void> | undefined;
  const throwIfLost = (): void => {
    if (losing.signal.aborted) throw losing.signal.reason;
  };
  const renewNow = async (): Promise<void> => {
    throwIfLost();
    const stored = await newest(store, folder);
    if (stored?.generation !== generation || stored.lease.holder !== own.holder) {
      clearInterval(timer);
      const by = stored === undefined ? `${key} is gone` : `${describeHolder(stored.lease)} took it over`;
      losing.abort(
        new FarmError(
          "lease-held",
          `${what} in ${store.url}: this ${purpose} no longer holds it: ${by}`,
          "nothing was written since; run it again when the other one has ended",
        ),
      );
      throwIfLost();
    }
    current = { ...current, renewed: new Date().toISOString(), renewals: current.renewals + 1 };
    await store.put(key, encode(current));
    renewedAt = performance.now();
  };
  const renew = (): Promise<void> => {
    renewing ??= renewNow().finally(() => {
      renewing = undefined;
    });
    return renewing;
  };
  // A store that is away for a moment is no loss: the next write tells.
  const timer = setInterval(() => renew().catch(() => {}), leaseMs / 6).unref();
  return {
    lost: losing.signal,
    async check() {
      throwIfLost();
      if (performance.now() - renewedAt < leaseMs / 3) return;
      await renew().catch((error: unknown) => {
        if (!(error instanceof FarmError && error.kind === "service")) throw error;
      });
    },
    async confirm() {
      await renewing?.catch(() => {}); // it may have looked before the call
      await renew();
    },
    async release() {
      clearInterval(timer);
      await renewing?.catch(() => {});
      try {
        if (losing.signal.aborted) await store.remove(key);
        else await store.put(key, encode({ ...current, released: true }));
      } catch {
        // It runs out by itself.
      }
    },
  };
}

function newLease(): LeaseObject {
  const now = new Date().toISOString();
  const { pid } = process;
  return {
    version: 1,
    holder: randomUUID(),
    host: hostname(),
    pid,
    place: placeOf(),
    started: processStart(pid),
    since: now,
    renewed: now,
    renewals: 0,
    released: false,
  };
}

/** Whether nobody holds it any more. Takes half of `leaseMs` where that must be watched for. */
async function isFree(
  store: ObjectStore,
  folder: string,
  stored: StoredLease,
  {
    leaseMs,
    signal,
    tell,
  }: { leaseMs: number; signal: AbortSignal | undefined; tell: (stored: StoredLease) => void },
): Promise<boolean> {
  const { lease } = stored;
  if (lease.released) return true;
  if (lease.place !== undefined && lease.place === placeOf() && hasEnded(lease)) return true;
  const age = Date.now() - Date.parse(lease.renewed);
  if (age > -AHEAD_MS && age < 1.5 * leaseMs) return false;
  tell(stored);
  const until = performance.now() + leaseMs / 2;
  while (performance.now() < until) {
    await sleep(leaseMs / 12, undefined, { signal });
    const now = await newest(store, folder);
    if (now?.lease.holder !== lease.holder || now.lease.renewals !== lease.renewals) return false;
  }
  return true;
}

function held(
  store: ObjectStore,
  folder: string,
  { generation, lease }: StoredLease,
  { what, purpose, leaseMs = LEASE_MS }: LeaseOptions,
): FarmError {
  return new FarmError(
    "lease-held",
    `${what} in ${store.url}: another ${purpose} holds it since ${lease.since}: ${describeHolder(lease)}, heard of ${secondsSince(lease)} s ago`,
    `wait for it or stop it; one that was killed is passed over ${(2 * leaseMs) / 1000} s after it was last heard of, or when you remove ${keyOf(folder, generation)}`,
  );
}

/** Whether a process of this place no longer runs. Another user's may be hidden from us in /proc, but not from `kill`. */
function hasEnded({ pid, started }: LeaseObject): boolean {
  const runs = processStart(pid);
  if (runs !== undefined) return started !== undefined && runs !== started;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

const secondsSince = ({ renewed }: LeaseObject): number =>
  Math.round((Date.now() - Date.parse(renewed)) / 1000);

const describeHolder = ({ pid, host }: LeaseObject): string => `process ${pid} on ${host}`;

/** The lease that counts; undefined when there is none. @throws FarmError `damaged` */
async function newest(store: ObjectStore, folder: string): Promise<StoredLease | undefined> {
  for (;;) {
    let generation = 0;
    for await (const key of store.list(`${folder}/`)) {
      generation = Math.max(generation, Number(/\/(\d{9})\.json$/.exec(key)?.[1] ?? 0));
    }
    if (generation === 0) return undefined;
    const key = keyOf(folder, generation);
    const bytes = await store.get(key);
    if (bytes === undefined) continue; // somebody removed it just now
    try {
      return { generation, lease: leaseSchema.parse(JSON.parse(new TextDecoder().decode(bytes))) };
    } catch (error) {
      throw new FarmError(
        "damaged",
        `${key} in ${store.url}: ${describe(error)}`,
        "remove it, if nothing is trained under that name",
        { cause: error },
      );
    }
  }
}

async function removeOlder(store: ObjectStore, folder: string, generation: number): Promise<void> {
  for await (const key of store.list(`${folder}/`))
    if (key < keyOf(folder, generation)) await store.remove(key);
}

const keyOf = (folder: string, generation: number): string =>
  `${folder}/${String(generation).padStart(9, "0")}.json`;

const encode = (lease: LeaseObject): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(lease, undefined, 2)}\n`);

/**
 * Machine, boot and namespace of process ids: among processes of one place a pid and its start tell whether one runs.
 * Undefined where the system does not tell.
 */
function placeOf(): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${hostname()} ${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}
