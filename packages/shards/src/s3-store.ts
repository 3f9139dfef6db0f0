import { createHash } from "node:crypto";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { errorMessage, FarmError } from "@loc2vec/core";
import { checkKey, checkPrefix } from "./keys.ts";
import type { ByteRange, ObjectStore, PutOptions } from "./store.ts";

/** Requests are tried this often in all, with the SDK's exponential back-off. */
const ATTEMPTS = 5;
/** A download that breaks off half-way (which the SDK does not retry) is begun again this often in all. */
const DOWNLOADS = 3;

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

  constructor(bucket: string, prefix: string, url: string, endpoint?: string) {
    this.url = url;
    this.#bucket = bucket;
    this.#prefix = prefix === "" ? "" : `${prefix}/`;
    const { env } = process;
    const where = endpoint ?? (env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined);
    this.#place = where === undefined ? `bucket ${bucket}` : `bucket ${bucket} at ${where}`;
    const region =
      env.AWS_REGION || env.AWS_DEFAULT_REGION || (where === undefined ? undefined : "us-east-1");
    const config: S3ClientConfig = {
      maxAttempts: ATTEMPTS,
      requestHandler: { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true },
      // Content-MD5 guards uploads on every S3; the newer checksum headers are not understood by all.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    };
    if (region !== undefined) config.region = region;
    if (where !== undefined) Object.assign(config, { endpoint: where, forcePathStyle: true });
    this.#client = new S3Client(config);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#download(key, undefined);
  }

  async getRange(key: string, range: ByteRange): Promise<Uint8Array | undefined> {
    const length = "suffix" in range ? range.suffix : range.length;
    if (length === 0) return (await this.head(key)) && new Uint8Array();
    return this.#download(
      key,
      "suffix" in range ? `bytes=-${length}` : `bytes=${range.offset}-${range.offset + length - 1}`,
    );
  }

  async put(key: string, bytes: Uint8Array, { ifAbsent = false }: PutOptions = {}): Promise<boolean> {
    const request = {
      ...this.#object(key),
      Body: bytes,
      ContentMD5: createHash("md5").update(bytes).digest("base64"),
    };
    if (ifAbsent && this.#conditionalPut) {
      try {
        await this.#client.send(new PutObjectCommand({ ...request, IfNoneMatch: "*" }));
        return true;
      } catch (error) {
        const status = statusOf(error);
        if (status === 412) return false;
        // 409: another conditional write of this key is under way; what it wrote decides.
        if (status !== 409 && status !== 501) throw this.#error("write", key, error);
        if (status === 501) this.#conditionalPut = false;
      }
    }
    if (ifAbsent && (await this.head(key)) !== undefined) return false;
    return this.#run("write", key, async () => {
      await this.#client.send(new PutObjectCommand(request));
      return true;
    });
  }

  async head(key: string): Promise<{ size: number } | undefined> {
    const request = this.#object(key);
    return this.#run("read", key, async () => {
      try {
        const found = await this.#client.send(new HeadObjectCommand(request));
        return { size: found.ContentLength ?? 0 };
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        // An answer to HEAD has no body, so it cannot say whether it is the object or the bucket that is missing.
        if (!this.#bucketSeen) await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }));
        return undefined;
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<string> {
    const Prefix = this.#prefix + checkPrefix(prefix);
    let ContinuationToken: string | undefined;
    do {
      const page = await this.#run("list", prefix, () =>
        this.#client.send(new ListObjectsV2Command({ Bucket: this.#bucket, Prefix, ContinuationToken })),
      );
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

  async #download(key: string, range: string | undefined): Promise<Uint8Array | undefined> {
    const request = { ...this.#object(key), Range: range };
    return this.#run("read", key, async () => {
      for (let attempt = 1; ; attempt++) {
        let body: { transformToByteArray(): Promise<Uint8Array> } | undefined;
        try {
          body = (await this.#client.send(new GetObjectCommand(request))).Body;
        } catch (error) {
          if (error instanceof S3ServiceException) {
            if (error.name === "NoSuchKey") return undefined;
            // The range lies outside of the object: no byte of it is there.
            if (statusOf(error) === 416) return new Uint8Array();
          }
          throw error;
        }
        try {
          return (await body?.transformToByteArray()) ?? new Uint8Array();
        } catch (error) {
          if (attempt === DOWNLOADS) throw error;
        }
      }
    });
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
    return new FarmError("service", `cannot ${verb} ${key || "keys"} in S3 ${this.#place}: ${what}`, mend, {
      cause: error,
    });
  }
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

const CHECK_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
const S3_ERRORS: Readonly<Record<string, readonly [what: string, mend: string]>> = {
  NoSuchBucket: ["there is no such bucket", "create it, or correct FARM_STORE"],
  NotFound: ["there is no such bucket", "create it, or correct FARM_STORE"],
  InvalidAccessKeyId: ["the access key is not known there", CHECK_CREDENTIALS],
  SignatureDoesNotMatch: ["the secret key is wrong", CHECK_CREDENTIALS],
  ExpiredToken: ["the credentials have expired", "renew them"],
  AccessDenied: [
    "access denied",
    "grant s3:GetObject, PutObject, DeleteObject and ListBucket to these credentials",
  ],
  CredentialsProviderError: ["no credentials found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"],
  PermanentRedirect: ["the bucket is in another region", "set AWS_REGION to the bucket's region"],
  AuthorizationHeaderMalformed: ["the bucket is in another region", "set AWS_REGION to the bucket's region"],
};

function explain(error: unknown): readonly [what: string, mend: string] {
  const name = error instanceof Error ? error.name : "";
  const known = S3_ERRORS[name];
  if (known !== undefined) return known;
  if (error instanceof Error && error.message.startsWith("Region is missing")) {
    return ["no region is set", "set AWS_REGION"];
  }
  const status = statusOf(error);
  if (status === 403) return ["access denied", CHECK_CREDENTIALS];
  if (status === undefined) {
    return [
      `the endpoint cannot be reached (${errorMessage(error)})`,
      "check FARM_S3_ENDPOINT, AWS_REGION and the network",
    ];
  }
  return [`${name || "error"} ${status}: ${errorMessage(error)}`, ""];
}
