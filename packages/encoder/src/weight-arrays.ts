/** Numbers and their shape. */
export interface WeightArray {
  shape: readonly number[];
  /** C order. */
  data: Float32Array;
}

/** Arrays by name, e.g. `conv1.kernel`. */
export type Weights = ReadonlyMap<string, WeightArray>;
