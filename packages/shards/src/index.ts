export {
  type ArrayWriter,
  CHUNK_ROWS,
  createArray,
  type NewArray,
  openArray,
  readArray,
  type StoredArray,
  type Values,
  writeArray,
} from "./array.ts";
export { appendCrc32c } from "./checksum.ts";
export {
  type CheckOptions,
  checkArrays,
  checkShards,
  completeDataset,
  readDigests,
  type ShardDigest,
  type ShardFinding,
} from "./completion.ts";
export { DEFAULT_ZSTD_LEVEL } from "./compression.ts";
export {
  type Coordinates,
  createDataset,
  type DatasetReader,
  datasetPrefix,
  inspectShard,
  listShards,
  openDataset,
  type ShardFacts,
  type WrittenShard,
  writeShard,
} from "./dataset.ts";
export { type Decoder, openDecoder, sharedMemory } from "./decoder.ts";
export { writeGroup } from "./group.ts";
export { STORE_KEY, storeIdentity } from "./identity.ts";
export { type DataType, describe, readGroup } from "./metadata.ts";
export { openStore } from "./open-store.ts";
export { listQuarantine, readQuarantine, writeQuarantine } from "./quarantine.ts";
export {
  decodeTiles,
  type EncodedShard,
  encodeShard,
  openShard,
  type ShardReader,
  type ShardTile,
  type StoredTile,
  shardKey,
  type Tiles,
  tileBytes,
} from "./shard.ts";
export type { ByteRange, ObjectStore, PutOptions, StoreOptions } from "./store.ts";
