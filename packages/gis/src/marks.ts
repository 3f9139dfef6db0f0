/** Where files of a kind have their mark, bytes from the beginning, and the mark itself in Latin-1. */
const FILE_MARKS = {
  zip: [0, "PK\x03\x04"],
  "7z": [0, "7z\xbc\xaf"],
  rar: [0, "Rar!"],
  tar: [257, "ustar"],
  gzip: [0, "\x1f\x8b"],
  /** After `BZh` and a digit: the digits of π that begin its first block. */
  bzip2: [4, "1AY&SY"],
  zstd: [0, "\x28\xb5\x2f\xfd"],
  xz: [0, "\xfd7zXZ"],
  lz4: [0, '\x04"M\x18'],
  /** Excel's before 2007, and other compound files of Microsoft's. */
  "old excel": [0, "\xd0\xcf\x11\xe0"],
  sqlite: [0, "SQLite format 3"],
  shapefile: [0, "\0\0\x27\x0a"],
  flatgeobuf: [0, "fgb\x03"],
  arrow: [0, "ARROW1\0\0"],
  parquet: [0, "PAR1"],
  "encrypted parquet": [0, "PARE"],
  mapsforge: [0, "mapsforge"],
  o5m: [0, "\xff\xe0\x04o5m2"],
  o5c: [0, "\xff\xe0\x04o5c2"],
  pbf: [4, "\x0a\x09OSMHeader"],
} as const satisfies Record<string, readonly [at: number, mark: string]>;

/** A kind of file that its first bytes tell. */
export type FileMark = keyof typeof FILE_MARKS;

/** Whether a file that begins with these bytes is of the kind. */
export function hasMark(head: Buffer, kind: FileMark): boolean {
  const [at, mark] = FILE_MARKS[kind];
  return head.toString("latin1", at, at + mark.length) === mark;
}
