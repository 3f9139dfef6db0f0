export { chartSvg, type Line } from "./chart.ts";
export { cityMap, embeddingColours, place } from "./citymap.ts";
export { type Figure, type Page, renderPage } from "./page.ts";
export { type Neighbour, nearest, type Pca, pca } from "./pca.ts";
export { channelPicture, composeRgb, encodePng, type Picture, sheet } from "./picture.ts";
export { type Report, type ReportOptions, writeReport } from "./report.ts";
