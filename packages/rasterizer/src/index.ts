export {
  createRasterizer,
  type Rasterizer,
  type RasterizerOptions,
  type RendererInfo,
  rendererInfo,
  type TileSize,
} from "./rasterizer.ts";
export { type Coat, coatsOf, styleXml } from "./style.ts";
export { type Frame, frameOf } from "./window.ts";
