// AssemblyScript, built to dist/raster.wasm; memory is laid out by src/canvas.ts. WebAssembly's arithmetic is the same to the
// last bit on every machine, and so are the tiles.
export { layout, place, scan, paint, unhex } from "./paint";
export { interleave, cut } from "./cut";
