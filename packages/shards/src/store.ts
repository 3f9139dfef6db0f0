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
  /** How long S3 may be silent, in the middle of an answer too, before a request is begun again, milliseconds. Default 30,000. */
  idleMs?: number;
}
