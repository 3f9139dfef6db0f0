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
export { DEFAULT_ZSTD_LEVEL } from "./compression.ts";
export { appendCrc32c, crc32c } from "./crc32c.ts";
export {
  type Coordinates,
  createDataset,
  type DatasetReader,
  datasetPrefix,
  listShards,
  openDataset,
  verifyShard,
  type WrittenShard,
  writeShard,
} from "./dataset.ts";
export { writeGroup } from "./group.ts";
export { type DataType, readGroup } from "./metadata.ts";
export {
  type EncodedShard,
  encodeShard,
  openShard,
  type ShardReader,
  type ShardTile,
  shardKey,
  type Tiles,
  tileBytes,
} from "./shard.ts";
export { type ByteRange, type ObjectStore, openStore, type PutOptions, type StoreOptions } from "./store.ts";
