import type * as tfjs from "@tensorflow/tfjs";

/** A native tensor: its numeric type is TensorFlow's own. */
export interface NativeTensor {
  id: number;
  shape: number[];
  dtype: number;
}

/** What of tfjs-node's backend object is used beyond tfjs's own interface. */
export interface NodeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: {
    readonly [constant: `TF_${Uppercase<string>}`]: number;
    readonly TF_Version: string;
    executeOp(
      name: string,
      attributes: readonly { name: string; type: number; value: unknown }[],
      inputs: readonly number[],
      outputs: number,
    ): NativeTensor[];
  };
  /** By data id; `values` are those that no op has needed yet. */
  readonly tensorMap: {
    get(id: object): NativeTensor;
    set(id: object, tensor: NativeTensor & { values: null; refCount: number }): void;
  };
  getInputTensorIds(inputs: readonly tfjs.Tensor[]): number[];
  createOutputTensor(tensor: NativeTensor): tfjs.Tensor;
}
