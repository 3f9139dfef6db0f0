export { chartSvg, type Line } from "./chart.ts";
export { type Embeddings, readEmbeddings } from "./embeddings.ts";
export { type Figure, type FigurePicture, type Page, renderPage } from "./page.ts";
export { channelPicture, composeRgb, encodePng, type Picture, sheet } from "./picture.ts";
export { type Report, type ReportOptions, writeReport } from "./report.ts";
