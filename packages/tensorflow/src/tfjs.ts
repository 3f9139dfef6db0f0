import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** The version of Node-API that the binding is built for: the highest that tfjs-node names. */
export const NAPI_VERSION = 8;

/** tfjs's packages for Node: the same JavaScript and sources of the binding, on a TensorFlow for CPUs or for GPUs. */
export type TfjsPackage = "@tensorflow/tfjs-node" | "@tensorflow/tfjs-node-gpu";

/** The one that a variant of the setup binds. */
export const tfjsPackageOf = (variant: "cpu" | "gpu" | "official"): TfjsPackage =>
  variant === "gpu" ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node";

export const otherPackage = (name: TfjsPackage): TfjsPackage =>
  name === "@tensorflow/tfjs-node" ? "@tensorflow/tfjs-node-gpu" : "@tensorflow/tfjs-node";

/** The folder that a package lies in. */
export function folderOf(name: TfjsPackage): string {
  return dirname(require.resolve(`${name}/package.json`));
}

/** The binding of a package, where it looks for it: there once the setup has bound it. */
export function bindingOf(name: TfjsPackage): string {
  return join(folderOf(name), `lib/napi-v${NAPI_VERSION}/tfjs_binding.node`);
}

/** The package that the setup has bound; undefined before that. */
export function boundPackage(): TfjsPackage | undefined {
  return (["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const).find((name) =>
    existsSync(bindingOf(name)),
  );
}

/** What the setup has put beside a package's binding: TensorFlow's libraries and what belongs to them. */
export function depsOf(name: TfjsPackage): string {
  return join(folderOf(name), "deps");
}
