import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3";
import { FarmError, redact } from "@loc2vec/core";
import { checkKey, checkPrefix } from "./keys.ts";
import { attemptsOf, explain, ForeignAnswer, type HttpAnswer, refuseForeign, statusOf } from "./s3-errors.ts";
import type { ByteRange, ObjectStore, PutOptions, StoreOptions } from "./store.ts";

/** Requests are tried this often in all, with the SDK's exponential back-off. */
const ATTEMPTS = 5;
/** A download that breaks off or stalls half-way (which the SDK does not retry) is begun again this often in all. */
const DOWNLOADS = 3;
const CONNECT_MS = 5_000;
const IDLE_MS = 30_000;
/** How servers that do not know the condition refuse it, beside the status 501; what else they dislike they say again without it. */
const UNSUPPORTED = /^(?:InvalidArgument|InvalidRequest|NotImplemented|NotSupported|Unsupported\w*)$/;
/** Between the attempts of a conditional write that another one is in the way of. */
const CONFLICT_MS = 200;

/**
 * Objects of an S3 bucket, or of anything that speaks S3. With an endpoint, buckets are addressed by path
 * (`http://host/bucket/key`), as MinIO, Ceph and others expect.
 */
export class S3Store implements ObjectStore {
  readonly url: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  /** `""` or ends in `/`. */
  readonly #prefix: string;
  readonly #place: string;
  #bucketSeen = false;
  #conditionalPut = true;

  constructor(
    bucket: string,
    prefix: string,
    url: string,
    { endpoint, idleMs = IDLE_MS }: StoreOptions = {},
  ) {
    this.url = url;
    this.#bucket = bucket;
    this.#prefix = prefix === "" ? "" : `${prefix}/`;
    const { env } = process;
    const where = endpoint ?? (env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined);
    this.#place = where === undefined ? `bucket ${bucket}` : `bucket ${bucket} at ${redact(where)}`;
    const region =
      env.AWS_REGION || env.AWS_DEFAULT_REGION || (where === undefined ? undefined : "us-east-1");
    const config: S3ClientConfig = {
      maxAttempts: ATTEMPTS,
      // No limit to a whole request: however slow the network is, it may take as long as bytes move.
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: idleMs },
      // Content-MD5 guards uploads on every S3; the newer checksum headers are not understood by all.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    };
    if (region !== undefined) config.region = region;
    if (where !== undefined) Object.assign(config, { endpoint: where, forcePathStyle: true });
    this.#client = new S3Client(config);
    this.#client.middlewareStack.add(
      (next, { commandName = "" }) =>
        async (args) => {
          const result = await next(args);
          await refuseForeign(commandName.replace(/Command$/, ""), result.response as HttpAnswer);
          return result;
        },
      // Innermost: before the SDK looks into the answer.
      { step: "deserialize", priority: "low" },
    );
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#download(key, undefined);
  }

  async getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const length = "suffix" in range ? range.suffix : range.length;
    if (length === 0) return (await this.head(key)) && new Uint8Array();
    return this.#download(key, range);
  }

  async put(key: string, bytes: Uint8Array, { ifAbsent = false }: PutOptions = {}): Promise<boolean> {
    const request = {
      ...this.#object(key),
      Body: bytes,
      ContentMD5: createHash("md5").update(bytes).digest("base64"),
    };
    return this.#run("write", key, async () => {
      if (ifAbsent) {
        // Asked beforehand too: a server that does not know the condition may replace the object in silence.
        if ((await this.head(key)) !== undefined) return false;
        const written = this.#conditionalPut ? await this.#putIfAbsent(key, request) : undefined;
        if (written !== undefined) return written;
      }
      await this.#client.send(new PutObjectCommand(request));
      if (ifAbsent) this.#conditionalPut = false;
      return true;
    });
  }

  /** @returns whether it was written; undefined when the server refuses the condition */
  async #putIfAbsent(key: string, request: PutRequest): Promise<boolean | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#client.send(new PutObjectCommand({ ...request, IfNoneMatch: "*" }));
        return true;
      } catch (error) {
        const status = statusOf(error);
        if (status === 412) {
          // Where an answer was lost and the request made again, what stands in the way may be our own.
          return attemptsOf(error) > 1 && equal(await this.get(key), request.Body);
        }
        if (status === 501 || UNSUPPORTED.test((error as Error).name)) return undefined;
        // 409: another conditional write of this key is under way; how that ends decides.
        if (status !== 409 || attempt === ATTEMPTS) throw error;
        await sleep(CONFLICT_MS * 2 ** attempt * Math.random());
      }
    }
  }

  async head(key: string): Promise<{ size: number } | undefined> {
    const request = this.#object(key);
    return this.#run("read", key, async () => {
      try {
        const head = await this.#client.send(new HeadObjectCommand(request));
        return { size: head.ContentLength ?? 0 };
      } catch (error) {
        const status = statusOf(error);
        if (status === undefined || status >= 500 || error instanceof ForeignAnswer) throw error;
        if (status === 404 && this.#bucketSeen) return undefined;
        // An answer to HEAD has no body, so it cannot say what is wrong, or whether object or bucket is missing.
        const firstByte = await this.#get(key, "bytes=0-0");
        if (firstByte === undefined) return undefined;
        await firstByte.Body?.transformToByteArray();
        return { size: partOf(firstByte)?.total ?? firstByte.ContentLength ?? 0 };
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const Prefix = this.#prefix + checkPrefix(prefix);
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#run("list", prefix, async () => {
        const page = await this.#client.send(
          new ListObjectsV2Command({ Bucket: this.#bucket, Prefix, ContinuationToken }),
        );
        if (page.IsTruncated === undefined && page.Name === undefined)
          throw new ForeignAnswer(200, "the answer is not a list of keys");
        // Else a list would end early, or never.
        const next = page.NextContinuationToken;
        if (page.IsTruncated === true && (next === undefined || next === ContinuationToken))
          throw new ForeignAnswer(200, "the list of keys does not go on");
        return page;
      });
      for (const { Key } of page.Contents ?? []) {
        // Consoles make "folders" as empty objects whose key ends in a slash; those are no objects of ours.
        if (Key !== undefined && !Key.endsWith("/")) yield Key.slice(this.#prefix.length);
      }
      ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  async remove(key: string): Promise<void> {
    const request = this.#object(key);
    await this.#run("remove", key, () => this.#client.send(new DeleteObjectCommand(request)));
  }

  async #download(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return this.#run("read", key, async () => {
      for (let attempt = 1; ; attempt++) {
        const answer = await this.#get(key, range && rangeHeader(range));
        if (answer === undefined) return undefined;
        let bytes: Uint8Array;
        try {
          bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
          if (answer.ContentLength !== undefined && bytes.length !== answer.ContentLength)
            throw new Error(`${bytes.length} bytes came, not ${answer.ContentLength}`);
        } catch (error) {
          if (attempt === DOWNLOADS) throw error;
          continue;
        }
        return range === undefined ? bytes : cut(bytes, range, partOf(answer)?.first);
      }
    });
  }

  /** Undefined when there is no such object; without a body when no byte of it is in the range. */
  async #get(key: string, range?: string): Promise<Partial<GetObjectCommandOutput> | undefined> {
    try {
      return await this.#client.send(new GetObjectCommand({ ...this.#object(key), Range: range }));
    } catch (error) {
      if ((error as Error).name === "NoSuchKey") return undefined;
      if (range !== undefined && statusOf(error) === 416 && !(error instanceof ForeignAnswer)) return {};
      throw error;
    }
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + checkKey(key) };
  }

  async #run<T>(verb: string, key: string, action: () => Promise<T>): Promise<T> {
    try {
      const result = await action();
      this.#bucketSeen = true;
      return result;
    } catch (error) {
      throw this.#error(verb, key, error);
    }
  }

  #error(verb: string, key: string, error: unknown): FarmError {
    if (error instanceof FarmError) return error;
    const [what, mend] = explain(error);
    return new FarmError(
      "object-store",
      `cannot ${verb} ${key || "keys"} in S3 ${this.#place}: ${what}`,
      mend,
      {
        cause: error,
      },
    );
  }
}

interface PutRequest {
  Bucket: string;
  Key: string;
  Body: Uint8Array;
  ContentMD5: string;
}

function equal(stored: Uint8Array | undefined, bytes: Uint8Array): boolean {
  return stored !== undefined && Buffer.compare(stored, bytes) === 0;
}

function rangeHeader(range: ByteRange): string {
  return "suffix" in range
    ? `bytes=-${range.suffix}`
    : `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** Which part of the object an answer holds; undefined when it says nothing of it: then it is the whole. */
function partOf(answer: Partial<GetObjectCommandOutput>): { first: number; total: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.ContentRange ?? "");
  return match === null ? undefined : { first: Number(match[1]), total: Number(match[2]) };
}

/** The range, out of what came: servers and caches may send more than was asked for. */
function cut(bytes: Uint8Array, range: ByteRange, first: number | undefined): Uint8Array {
  if ("suffix" in range) return bytes.subarray(Math.max(0, bytes.length - range.suffix));
  const begin = range.offset - (first ?? 0);
  if (begin < 0 && bytes.length > 0)
    throw new ForeignAnswer(206, `bytes from ${first} came, not from ${range.offset}`);
  return bytes.subarray(begin, begin + range.length);
}
