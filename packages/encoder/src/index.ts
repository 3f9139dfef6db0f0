export * from "./adam.ts";
export * from "./architecture.ts";
export * from "./embedder.ts";
export * from "./encoder.ts";
export * from "./loss.ts";
export * from "./onnx.ts";
export * from "./protobuf.ts";
export * from "./weights.ts";
