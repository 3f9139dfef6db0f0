/** Anything that turns tiles into vectors. */
export interface Representation {
  readonly name: string;
  /** Length of a vector. */
  readonly size: number;
  /** @param tiles planar uint8 [channel, y, x], each @returns float32 [tiles, size] */
  describe(tiles: readonly Uint8Array[]): Float32Array | Promise<Float32Array>;
  dispose(): void | Promise<void>;
}

/** What tiles are like. */
export interface TileShape {
  channels: number;
  /** Side. */
  pixels: number;
}
