// AssemblyScript, built to dist/tsne.wasm: one iteration of Barnes–Hut t-SNE. Memory is laid out by src/tsne-memory.ts, and shared
// by as many instances as there are threads. WebAssembly's arithmetic is the same to the last bit on every machine.
export { layout } from "./memory";
export { grow } from "./tree";
export { forces } from "./forces";
export { move } from "./move";
