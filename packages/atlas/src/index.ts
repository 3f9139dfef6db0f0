export { type Atlas, type AtlasOptions, writeAtlas } from "./atlas.ts";
export { type ChartOptions, chart, LINE_COLOURS, type Line } from "./chart.ts";
export { type Embeddings, type EmbeddingsReader, openEmbeddings, readEmbeddings } from "./embeddings.ts";
export { checkProfile } from "./open-city.ts";
export { type Figure, type FigurePicture, type LeftOut, type Page, renderPage } from "./page.ts";
export { channelPicture, composeRgb, encodePng, type Picture, sheet } from "./picture.ts";
export { type Svg, svg, words } from "./svg.ts";
