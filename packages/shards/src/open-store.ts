import { FarmError, readStoreUrl, redact } from "@loc2vec/core";
import { FileStore } from "./file-store.ts";
import { S3Store } from "./s3-store.ts";
import type { ObjectStore, StoreOptions } from "./store.ts";

/**
 * Opens `file:///folder` or `s3://bucket/prefix`. Nothing is read or made yet: a folder appears with its first object,
 * a bucket must exist. S3 takes credentials and region from the AWS SDK's usual variables and files.
 *
 * @throws FarmError `usage` for any other URL
 */
export function openStore(url: string, options: StoreOptions = {}): ObjectStore {
  const place = readStoreUrl(url);
  if ("what" in place) throw new FarmError("usage", `object store ${redact(url)}: ${place.what}`, place.mend);
  return place.kind === "file"
    ? new FileStore(place.folder, url)
    : new S3Store(place.bucket, place.prefix, url, options);
}
