import type { Levels, TileSource, TileTransform } from "@loc2vec/core";

/** What a worker draws tiles with; `@loc2vec/rasterizer` is the real one. */
export interface TileRenderer {
  /** What it draws from. A data set is drawn from one source throughout. */
  readonly source: TileSource;
  /** Names of the channels, in the order of a tile's planes. */
  readonly channels?: readonly string[];
  /**
   * Draws the samples of one location.
   *
   * @param location degrees, WGS 84
   * @param levels intensities are rounded to
   * @throws LocationError for one that nothing can draw; anything else is of all locations
   * @returns one tile per transform: planar CHW uint8, row 0 on top, each a buffer of its own that is not used again
   */
  render(
    location: { lon: number; lat: number },
    transforms: readonly TileTransform[],
    levels: Levels,
  ): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}
