import type { Tensorflow } from "@loc2vec/tensorflow";

/** An op's attribute as the binding gets it. */
export interface NativeAttribute {
  name: string;
  type: number;
  value: unknown;
}

/** All that our code and tfjs ask of TensorFlow: tfjs-node's binding. */
export interface Binding {
  readonly TF_ATTR_TYPE: number;
  executeOp(name: string, attributes: readonly NativeAttribute[], ...rest: unknown[]): unknown;
  createTensor(...args: unknown[]): unknown;
  tensorDataSync(...args: unknown[]): unknown;
  deleteTensor(...args: unknown[]): unknown;
}

/**
 * Runs work while another binding stands between TensorFlow and those that use it.
 *
 * @param around makes it, from the true one
 */
export function withBinding<T>(
  { tf }: Tensorflow,
  around: (binding: Binding) => Partial<Binding>,
  work: () => T,
): T {
  const backend = tf.backend() as unknown as { binding: Binding };
  const { binding } = backend;
  // Its own functions cannot be assigned to.
  backend.binding = Object.create(binding, Object.getOwnPropertyDescriptors(around(binding)));
  try {
    return work();
  } finally {
    backend.binding = binding;
  }
}
