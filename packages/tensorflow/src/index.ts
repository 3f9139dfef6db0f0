export type { Tensor, Tensor2D, Tensor4D, Variable } from "@tensorflow/tfjs";
export { cpuHasBfloat16 } from "./bfloat16.ts";
export { loadTensorflow, type Tensorflow } from "./load.ts";
export {
  type CudaLibrary,
  findNvidia,
  type Nvidia,
  OLDEST_DRIVER,
  openCudaLibraries,
  parseDriver,
} from "./nvidia.ts";
export type { Attribute, Attributes, DType } from "./ops.ts";
export { bindsCuda, boundSource, type Setup, type SetupOptions, setupTensorflow, smoke } from "./setup.ts";
