export { chartSvg, type Line } from "./chart.ts";
export { cityMap, embeddingColours, place } from "./citymap.ts";
export { type Neighbour, nearest } from "./neighbours.ts";
export { type Figure, type Page, renderPage } from "./page.ts";
export { channelPicture, composeRgb, encodePng, type Picture, sheet } from "./picture.ts";
export { type Report, type ReportOptions, writeReport } from "./report.ts";
