import { fileURLToPath } from "node:url";
import { FarmError, redact } from "@loc2vec/core";
import { FileStore } from "./file-store.ts";
import { S3Store } from "./s3-store.ts";

/** A part of an object: `length` bytes from `offset`, or the last `suffix` bytes. */
export type ByteRange = { offset: number; length: number } | { suffix: number };

export interface PutOptions {
  /** Leave an object that is already there as it is. */
  ifAbsent?: boolean;
}

/**
 * Objects by key. A key is `a/b/c`: relative, no empty, `.` or `..` segments. Every method throws FarmError `internal`
 * for any other key and FarmError `service` when the store cannot be reached, refuses, or is full.
 */
export interface ObjectStore {
  /** As given, without secrets: for messages. */
  readonly url: string;
  /** The whole object; undefined when there is none. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** The bytes of the object that lie in the range: fewer than asked for where it ends before. Undefined without an object. */
  getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined>;
  /**
   * Writes the whole object or nothing: no reader ever sees a part of it.
   *
   * @returns whether it was written: false only with `ifAbsent`, when the object was there
   */
  put(key: string, bytes: Uint8Array, options?: PutOptions): Promise<boolean>;
  /** Undefined when there is no such object. `size` in bytes. */
  head(key: string): Promise<{ size: number } | undefined>;
  /** The keys that start with the prefix, in no particular order; `""` for all. */
  list(prefix: string): AsyncIterable<string>;
  /** Fine when there is no such object. */
  remove(key: string): Promise<void>;
}

export interface StoreOptions {
  /** S3 endpoint other than AWS, e.g. `http://127.0.0.1:9000`. Default: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. */
  endpoint?: string | undefined;
}

/**
 * Opens `file:///folder` or `s3://bucket/prefix`. Nothing is read or made yet: a folder appears with its first object,
 * a bucket must exist. S3 takes credentials and region from the AWS SDK's usual variables and files.
 *
 * @throws FarmError `usage` for any other URL
 */
export function openStore(url: string, options: StoreOptions = {}): ObjectStore {
  const refuse = (why: string): never => {
    throw new FarmError(
      "usage",
      `object store ${redact(url)}: ${why}`,
      "use file:///folder or s3://bucket/prefix",
    );
  };
  const parsed = URL.canParse(url) ? new URL(url) : refuse("not a URL");
  if (parsed.search !== "" || parsed.hash !== "") refuse("'?' and '#' must be written %3F and %23");
  switch (parsed.protocol) {
    case "file:":
      if (parsed.host !== "")
        refuse(`'${parsed.host}' stands where a host would; a folder starts with a third '/'`);
      return new FileStore(fileURLToPath(parsed), url);
    case "s3:": {
      if (parsed.username !== "" || parsed.password !== "") {
        refuse("credentials do not belong in the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
      }
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(parsed.host))
        refuse(`'${parsed.host}' is not a bucket's name`);
      const prefix = decodeURIComponent(parsed.pathname)
        .split("/")
        .filter((part) => part !== "")
        .join("/");
      return new S3Store(parsed.host, prefix, url, options.endpoint);
    }
    default:
      return refuse(`unknown scheme ${parsed.protocol}`);
  }
}
