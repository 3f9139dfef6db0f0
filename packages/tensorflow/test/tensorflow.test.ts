import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import {
  boundSource,
  cpuHasBfloat16,
  loadTensorflow,
  openCudaLibraries,
  parseDriver,
  setupTensorflow,
  smoke,
} from "../src/index.ts";
import { boundPackage, depsOf, folderOf } from "../src/tfjs.ts";
import { wheelsFor } from "../src/wheels.ts";

test("the native backend is loaded, and is the TensorFlow that was bound", async () => {
  const { tf, version, device } = await loadTensorflow();
  expect(tf.getBackend()).toBe("tensorflow");
  expect(await boundSource()).toContain(version);
  expect(["CPU", "GPU"]).toContain(device);
});

test("a CPU multiplies bfloat16 with AVX-512's instructions for it, or AMX", () => {
  const flags = (more: string): string => `processor\t: 0\nflags\t\t: fpu sse2 avx512f ${more} avx512_vnni\n`;
  expect(["avx512_bf16", "amx_bf16 amx_tile", "avx512_bf16x"].map(flags).map(cpuHasBfloat16)).toEqual([
    true,
    true,
    false,
  ]);
  // What a card or a CPU is called is no flag.
  expect(cpuHasBfloat16("model name\t: avx512_bf16\nflags\t\t: fpu\n")).toBe(false);
});

test("ops by name: several outputs, type, number and flag attributes", async () => {
  const { tf, op } = await loadTensorflow();
  const x = tf.tensor4d([1, 2, 3, 4], [1, 2, 2, 1]);
  const [y, mean, variance] = op(
    "FusedBatchNormV3",
    [x, tf.tensor1d([2]), tf.tensor1d([1]), tf.tensor1d([]), tf.tensor1d([])],
    {
      T: { type: "float32" },
      U: { type: "float32" },
      epsilon: { float: 0 },
      data_format: { string: "NHWC" },
      is_training: { bool: true },
    },
    6,
  );
  // Mean 2.5, biased variance 1.25; the op reports the unbiased one.
  const scaled = [1, 2, 3, 4].map((value) => (2 * (value - 2.5)) / Math.sqrt(1.25) + 1);
  expect([...(y?.dataSync() ?? [])]).toEqual(scaled.map((value) => expect.closeTo(value, 4)));
  expect(mean?.dataSync()[0]).toBeCloseTo(2.5, 5);
  expect(variance?.dataSync()[0]).toBeCloseTo(5 / 3, 4);
});

test("bfloat16 and uint8 are results between ops: they are converted, not read, and counted like others", async () => {
  const { tf, op, bytes } = await loadTensorflow();
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const [half] = op("Cast", [tf.tensor1d([1, 1 + 2 ** -9, 300])], {
      SrcT: { type: "float32" },
      DstT: { type: "bfloat16" },
    });
    const [back] = op("Cast", [half as never], { SrcT: { type: "bfloat16" }, DstT: { type: "float32" } });
    expect([...(back?.dataSync() ?? [])]).toEqual([1, 1, 300]);
    expect(() => half?.dataSync()).toThrow();
    // What tfjs itself would make of it is an error, too.
    expect(() => half?.square()).toThrow(/dtype enum 14/);
    const [numbers] = op("Cast", [bytes(Uint8Array.of(0, 7, 255), [3])], {
      SrcT: { type: "uint8" },
      DstT: { type: "float32" },
    });
    expect([...(numbers?.dataSync() ?? [])]).toEqual([0, 7, 255]);
  });
  expect(tf.memory().numTensors).toBe(before);
});

test("bytes become numbers without a number per byte in JavaScript", async () => {
  const { tf, op } = await loadTensorflow();
  const bytes = tf.tensor([Uint8Array.of(0, 1, 200, 255)] as unknown as string[], [1], "string");
  const [raw] = op("DecodeRaw", [bytes], { out_type: { type: "uint8" }, little_endian: { bool: true } });
  const [floats] = op("Cast", [raw as NonNullable<typeof raw>], {
    SrcT: { type: "uint8" },
    DstT: { type: "float32" },
  });
  expect([...(floats?.dataSync() ?? [])]).toEqual([0, 1, 200, 255]);
});

test("an op that does not exist, or inputs that do not fit, is an error", async () => {
  const { tf, op } = await loadTensorflow();
  expect(() => op("NoSuchOp", [tf.scalar(1)], {})).toThrow(/NoSuchOp/);
  expect(() => op("MatMul", [tf.zeros([2, 3]), tf.zeros([2, 3])], { T: { type: "float32" } })).toThrow(
    /incompatible/i,
  );
});

test("a convolution gradient is right, in a process of its own", async () => {
  await smoke();
});

test("set-up again is in place", async () => {
  const home = fileURLToPath(new URL("../../../.farm", import.meta.url));
  const variant = process.env.FARM_TENSORFLOW === "gpu" ? "gpu" : "cpu";
  const started = performance.now();
  const { inPlace, source } = await setupTensorflow({ home, variant });
  expect({ inPlace, source }).toEqual({ inPlace: true, source: await boundSource() });
  expect(performance.now() - started).toBeLessThan(2000);
});

test("what is bound for a GPU is loaded as tfjs-node-gpu, and tfjs-node is bound no more", async () => {
  const tree = mkdtempSync(join(tmpdir(), "tfjs-"));
  onTestFinished(() => rmSync(tree, { recursive: true }));
  const own = resolve(import.meta.dirname, "..");
  for (const name of ["package.json", "dist", "native"])
    cpSync(join(own, name), join(tree, name), { recursive: true });
  const modules = join(tree, "node_modules");
  const linkAll = (from: string, to: string): void => {
    mkdirSync(to, { recursive: true });
    for (const name of readdirSync(from)) {
      if (name.startsWith("@")) linkAll(join(from, name), join(to, name));
      else if (!name.startsWith(".") && !name.startsWith("tfjs-node") && !existsSync(join(to, name)))
        symlinkSync(realpathSync(join(from, name)), join(to, name));
    }
  };
  linkAll(join(own, "node_modules"), modules);
  for (const name of ["@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu"] as const) {
    // Beside it lie the packages that it depends on.
    linkAll(resolve(folderOf(name), "../.."), modules);
    for (const part of ["package.json", "dist", "binding"])
      cpSync(join(folderOf(name), part), join(modules, name, part), { recursive: true });
  }
  const bound = realpathSync(depsOf(boundPackage() ?? "@tensorflow/tfjs-node"));
  const script = `
    import { createRequire } from "node:module";
    import { loadTensorflow } from "./dist/index.js";
    import { link } from "./dist/setup.js";
    import { boundPackage } from "./dist/tfjs.js";
    const told = [boundPackage() ?? "none"];
    for (const name of ["@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu"]) {
      await link(name, ${JSON.stringify(bound)});
      told.push(boundPackage());
    }
    const { op, tf } = await loadTensorflow();
    const [product] = op("MatMul", [tf.ones([2, 3]), tf.ones([3, 2])], {
      T: { type: "float32" }, transpose_a: { bool: false }, transpose_b: { bool: false },
    });
    const loaded = Object.keys(createRequire(import.meta.url + "/x").cache)
      .map((path) => /@tensorflow[/](tfjs-node[^/]*)[/]dist[/]index.js$/.exec(path)?.[1]).filter(Boolean);
    console.log(JSON.stringify([...told, ...loaded, ...product.dataSync()]));`;
  const args = ["--input-type=module", "-e", script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: tree, encoding: "utf8" });
  const packages = ["@tensorflow/tfjs-node", "@tensorflow/tfjs-node-gpu", "tfjs-node-gpu"];
  expect({ stderr, told: JSON.parse(stdout || "0") }).toEqual({
    stderr: "",
    told: ["none", ...packages, 3, 3, 3, 3],
  });
});

test("where PyPI cannot be reached, the set-up says so and leaves nothing", () => {
  const home = mkdtempSync(join(tmpdir(), "tensorflow-"));
  const cli = fileURLToPath(new URL("../dist/setup-cli.js", import.meta.url));
  const env = {
    ...process.env,
    PIP_INDEX_URL: "http://127.0.0.1:9/simple",
    PIP_RETRIES: "0",
    PIP_NO_CACHE_DIR: "1",
    PIP_FIND_LINKS: "",
  };
  const { status, stderr } = spawnSync(process.execPath, [cli, home, "cpu"], { env, encoding: "utf8" });
  expect(status).toBe(5);
  expect(stderr).toMatch(
    /error: TensorFlow cannot be bound: tensorflow.* 2\.\d+\.\d+: python3 ended with 1: ERROR: /,
  );
});

test("wheels have checksums, newest first; other machines have none", () => {
  for (const [variant, arch] of [
    ["cpu", "x64"],
    ["cpu", "arm64"],
    ["gpu", "x64"],
  ] as const) {
    const wheels = wheelsFor(variant, arch);
    expect(wheels.length).toBeGreaterThan(1);
    for (const wheel of wheels) expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(wheels.map((wheel) => wheel.sha256)).size).toBe(wheels.length);
  }
  expect(wheelsFor("gpu", "arm64")).toEqual([]);
});

test("CUDA's libraries are opened one by one; what is no library is told", () => {
  const folder = mkdtempSync(join(tmpdir(), "cuda-"));
  // Any library stands in for the first, and a text for another.
  const target = join(folder, "libcudart.so.12");
  spawnSync("g++", ["-shared", "-fPIC", "-x", "c++", "-", "-o", target], {
    input: "int one() { return 1; }",
  });
  writeFileSync(join(folder, "libcublas.so.12"), "no library");
  const found = new Map(openCudaLibraries([folder]).map(({ name, problem }) => [name, problem]));
  expect(found.get("libcudart.so.12")).toBeUndefined();
  expect(found.get("libcublas.so.12")).toMatch(/libcublas\.so\.12: (file too short|invalid ELF header)/);
  expect(found.size).toBe(11);
});

test("the driver's version, as the kernel's module tells it", () => {
  const gcc = "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)";
  for (const [line, version] of [
    [
      "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
      "535.183.01",
    ],
    [
      "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)",
      "570.86.15",
    ],
  ] as const)
    expect(parseDriver(`${line}\n${gcc}\n`)).toBe(version);
  expect(parseDriver("")).toBeUndefined();
});
