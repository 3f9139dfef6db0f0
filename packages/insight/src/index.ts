export { type Ascent, DEFAULT_ASCENT } from "./ascent.ts";
export { equalize, type TopChannels, topChannels } from "./colours.ts";
export { type Extremes, type ExtremesOptions, extremes } from "./extremes.ts";
export { type Maximized, type MaximizeOptions, maximizeActivations } from "./maximize.ts";
export { type Saliency, saliency } from "./saliency.ts";
