import { type Field, float, integer, message } from "./protobuf.ts";
import type { WeightArray } from "./weight-arrays.ts";

/** ONNX's own numbers of types (onnx/onnx.proto). */
export const TYPES = { float32: 1, uint8: 2, int64: 7 } as const;

interface Node {
  op: string;
  inputs: readonly string[];
  attributes: readonly Field[];
  output: string;
}

/** The nodes and constants of an ONNX graph (onnx.ai), as they are added. */
export class OnnxGraph {
  readonly #nodes: Node[] = [];
  readonly #constants: Field[] = [];

  /** @returns the name of its output */
  node(op: string, inputs: readonly string[], attributes: readonly Field[] = []): string {
    const output = `${op.toLowerCase()}_${this.#nodes.length}`;
    this.#nodes.push({ op, inputs, attributes, output });
    return output;
  }

  /** Adds a float32 constant. @returns its name */
  constant(name: string, { shape, data }: WeightArray): string {
    const dims = shape.map((length) => integer(1, length));
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#constants.push(
      message(5, [...dims, integer(2, TYPES.float32), message(8, name), message(9, bytes)]),
    );
    return name;
  }

  /** Adds an int64 vector. @returns its name */
  integers(values: readonly number[]): string {
    const name = `integers_${this.#constants.length}`;
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#constants.push(
      message(5, [integer(1, values.length), integer(2, TYPES.int64), message(8, name), message(9, bytes)]),
    );
    return name;
  }

  /** Fields of a GraphProto, the last node's output called `output`. */
  fields(output: string): { nodes: Field[]; constants: readonly Field[] } {
    const last = this.#nodes.length - 1;
    const nodes = this.#nodes.map((node, at) => {
      const name = at === last ? output : node.output;
      const inputs = node.inputs.map((input) => message(1, input));
      return message(1, [
        ...inputs,
        message(2, name),
        message(3, name),
        message(4, node.op),
        ...node.attributes,
      ]);
    });
    return { nodes, constants: this.#constants };
  }
}

/** AttributeProto: name = 1, f = 2, i = 3, ints = 8, type = 20. */
export const floatAttribute = (name: string, value: number): Field =>
  message(5, [message(1, name), float(2, value), integer(20, 1)]);
export const intAttribute = (name: string, value: number): Field =>
  message(5, [message(1, name), integer(3, value), integer(20, 2)]);
export const intsAttribute = (name: string, values: readonly number[]): Field =>
  message(5, [message(1, name), ...values.map((value) => integer(8, value)), integer(20, 7)]);
