export type { Stage } from "./draw.ts";
export { MAP_TILE_PIXELS, type MapTiles, openMapTiles, squareOf } from "./map-tiles.ts";
export {
  createRasterizer,
  type Rasterizer,
  type RasterizerOptions,
  type RendererKind,
  rendererInfo,
  sourceOf,
  type TileSize,
} from "./rasterizer.ts";
export { type Coat, coatsOf, isDot, reachOf, styleXml } from "./style.ts";
export { type Frame, frameOf } from "./window.ts";
