import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, inject } from "vitest";
import { CREDENTIALS, startMoto } from "./moto.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

/** Where a test file's data sets and models lie; to be looked at in its tests. */
export interface TestStores {
  /** A temporary folder. */
  readonly folder: string;
  /** Of an S3 server with one bucket, whose credentials are in the environment. */
  readonly endpoint: string;
}

/** Gives a test file a folder and an S3 server of its own, until its tests are done. @param name of the bucket */
export function testStores(name: string): TestStores {
  let folder: string;
  let moto: Awaited<ReturnType<typeof startMoto>>;
  beforeAll(async () => {
    Object.assign(process.env, CREDENTIALS);
    folder = await mkdtemp(join(tmpdir(), `${name}-`));
    moto = await startMoto(inject("python"), name);
  });
  afterAll(async () => {
    moto.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    get folder() {
      return folder;
    },
    get endpoint() {
      return moto.endpoint;
    },
  };
}
