/** The versions of Node that have all that the farm uses: zstd in node:zlib is the newest of it. As in package.json's `engines`. */
export const NODE_RANGE = "^22.15.0 || >=23.8.0";

/** @param version of Node, e.g. `22.15.0` */
export function runsFarm(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 8) || (major === 22 && minor >= 15);
}
