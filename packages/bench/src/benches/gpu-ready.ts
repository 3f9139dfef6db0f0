import { type CommandContext, defineCommand } from "@loc2vec/cli";
import { EXIT_CODES } from "@loc2vec/core";
import { NETWORKS } from "@loc2vec/encoder";
import { loadTensorflow } from "@loc2vec/tensorflow";
import { nameOf, recordGpuOps, type UsedOp } from "../gpu-ops.ts";
import { runPython } from "../python.ts";

/** What TensorFlow's wheel says of each op, in their order. */
interface Kernels {
  tensorflow: string;
  cuda: boolean;
  kernels: { found: boolean; why?: string }[];
}

export const gpuReady = defineCommand({
  usage: "gpu-ready",
  description: "whether TensorFlow has a GPU kernel for all that is run, without a GPU; prints docs/gpu.md",
  options: (command) => command,
  action: checkKernels,
});

/**
 * Looks for a GPU kernel for each op of training and embedding, in TensorFlow's wheel for GPUs, of the version that we are
 * bound to. Exit code 1 where one is missing.
 */
async function checkKernels(context: CommandContext): Promise<void> {
  const tensorflow = await loadTensorflow();
  context.log("bench: recording steps of all networks");
  const ops = recordGpuOps(tensorflow);
  context.log("bench: asking TensorFlow's wheel for GPUs");
  const requirements = [`tensorflow==${tensorflow.version}`];
  const found = await runPython<Kernels>(context, requirements, "device_kernels.py", { device: "GPU", ops });
  const missing = ops.flatMap((op, at) => {
    const kernel = found.kernels[at];
    return kernel?.found && found.cuda ? [] : [`${nameOf(op)}: ${kernel?.why ?? "a wheel without CUDA"}`];
  });
  const figures = { tensorflow: found.tensorflow, cuda: found.cuda, ops: ops.length, missing };
  const listed = ops.map((op, at) => ({ ...op, ...found.kernels[at] }));
  context.result({ bench: "gpu-ready", complete: true, ...figures, kernels: listed }, [
    gpuDocument(found.tensorflow, ops, missing).trimEnd(),
  ]);
  if (missing.length > 0) process.exitCode = EXIT_CODES.internal;
}

/** `docs/gpu.md`. @param missing ops without a kernel, and why */
export function gpuDocument(version: string, ops: readonly UsedOp[], missing: readonly string[]): string {
  const all = Object.keys(NETWORKS);
  const words = (some: readonly string[], every: readonly string[]): string =>
    some.length === every.length ? "all" : some.join(", ");
  const rows = ops.map(
    ({ op, types, uses, networks }) =>
      `| ${op} | ${Object.entries(types)
        .map(([name, type]) => `${name} = ${type}`)
        .join(", ")} | ${uses.join(", ")} | ${words(networks, all)} |`,
  );
  const verdict =
    missing.length === 0
      ? `Each of these ${ops.length} has a kernel for GPUs that takes its types.`
      : `Of these ${ops.length}, ${missing.length} have no kernel for GPUs: ${missing.join("; ")}.`;
  return `# Ready for a GPU

Printed by \`pnpm -s bench gpu-ready\`, which needs no GPU. It takes a training step of each network (${all.join(", ")}) in each precision, and embeds, choosing ops as on a GPU, and notes what it asks of TensorFlow. Then it looks whether PyPI's \`tensorflow\` ${version}, whose wheel has the kernels for GPUs, has registered one for each op and its types, attributes' constraints included. With \`--json\` it says so of each; its exit code is 1 where one is missing. A test takes the steps again and compares them with this list.

**${verdict}** An op without one would run on the CPU, with its tensors carried there and back.

| op | types | run by | networks |
| --- | --- | --- | --- |
${rows.join("\n")}

What this does not show: how fast they are, and that cuDNN takes every shape. No GPU was at hand.

On a GPU, \`FARM_TENSORFLOW=gpu npm run setup\` binds \`@tensorflow/tfjs-node-gpu\` to that wheel's libraries; see [\`tensorflow\`](../packages/tensorflow). Its max-pooling is TensorFlow's own there. On a CPU it is oneDNN's (\`_MklNativeMaxPool\`), which no GPU has, so it is not in the list.
`;
}
