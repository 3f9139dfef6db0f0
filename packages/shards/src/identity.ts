import { randomBytes } from "node:crypto";
import { FarmError, STORE_ID } from "@loc2vec/core";
import type { ObjectStore } from "./store.ts";

/** The object that a store's identity is kept in. */
export const STORE_KEY = "store.json";

/**
 * What tells this object store from every other, whatever URL leads to it: 16 hex digits, drawn when they are first asked
 * for and kept in the store. Two processes that ask at once get the same.
 *
 * @throws FarmError `data` when the object holds anything else; `service` when the store cannot be read, or cannot be
 * written and has no identity yet
 */
export async function storeIdentity(store: ObjectStore): Promise<string> {
  const present = await store.get(STORE_KEY);
  if (present !== undefined) return parseIdentity(store, present);
  const drawn = new TextEncoder().encode(`${JSON.stringify({ id: randomBytes(8).toString("hex") })}\n`);
  await store.put(STORE_KEY, drawn, { ifAbsent: true });
  // Whichever of several was first.
  return parseIdentity(store, (await store.get(STORE_KEY)) ?? drawn);
}

function parseIdentity({ url }: ObjectStore, bytes: Uint8Array): string {
  let id: unknown;
  try {
    ({ id } = JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // refused below
  }
  if (typeof id === "string" && STORE_ID.test(id)) return id;
  throw new FarmError(
    "damaged",
    `object store ${url}: ${STORE_KEY} does not hold the store's identity`,
    "remove the object: a new identity is drawn, and pnpm farm:enqueue queues what is not done",
  );
}
