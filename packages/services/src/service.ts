import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import type { Config } from "@loc2vec/core";

export type ServiceName = "redis" | "database";
export type Log = (line: string) => void;

/** A private server that answers. */
export interface Running {
  /** With its password. */
  url: string;
  pid: number;
  port: number;
  version: string;
}

/** A kind of service, and how the private server of it is run. */
export interface Service {
  name: ServiceName;
  title: string;
  /** The URL from the settings; undefined: the private server. */
  externalUrl(config: Config): string | undefined;
  /** Version of the server at a URL. @throws FarmError `service` when it does not answer, with host and port */
  checkExternal(url: string): Promise<string>;
  /** Where the private server and its marks are kept. May not exist yet. */
  folder(config: Config): string;
  /** The port that the private server would have. */
  port(config: Config): number;
  /** The private server if it runs, whichever port it was started on. @throws FarmError when it runs but hangs */
  find(config: Config): Promise<Running | undefined>;
  /** Starts the private server, which must not run. */
  start(config: Config, log: Log): Promise<Running>;
  /** Anything a running server needs before it is used; idempotent. */
  prepare(running: Running): Promise<void>;
  /** The private server's process, whether it answers or not. */
  processOf(config: Config): Promise<number | undefined>;
  /** Ends that process, by force if it must. @returns whether it is gone */
  stop(pid: number): Promise<boolean>;
}

/** The password kept in a file that only its owner can read; made at first use. */
export async function passwordIn(file: string): Promise<string> {
  try {
    // Fails when it exists, so that nobody else's file or link is ever followed.
    await writeFile(file, randomBytes(24).toString("base64url"), { flag: "wx", mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return (await readFile(file, "utf8")).trim();
}

/** `host:port` of a service's URL. */
export function hostOf(url: string, defaultPort: number): string {
  const { hostname, port, searchParams } = new URL(url);
  return `${searchParams.get("host") ?? (hostname || "localhost")}:${port || (searchParams.get("port") ?? defaultPort)}`;
}
