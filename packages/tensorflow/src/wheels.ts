/** Which of PyPI's wheels TensorFlow's libraries and C headers are taken from. */

export interface Wheel {
  /** Name on PyPI. */
  project: "tensorflow-cpu" | "tensorflow";
  version: string;
  /** pip's platform tag of the file. */
  platform: string;
  /** SHA-256 of the wheel, hex: what PyPI's index says. */
  sha256: string;
}

/** The libraries do not depend on Python's version: one is picked, whichever Python (if any newer) the machine runs. */
export const WHEEL_PYTHON = "3.11";

const X64 = "x86_64";
const ARM64 = "aarch64";
const wheel = (
  project: Wheel["project"],
  version: string,
  glibc: string,
  arch: string,
  sha256: string,
): Wheel => ({
  project,
  version,
  platform: `manylinux${glibc}_${arch}`,
  sha256,
});

/** Newest first; the next is tried where one cannot be had or does not bind. */
const WHEELS: Readonly<Record<string, readonly Wheel[]>> = {
  "cpu-x64": [
    wheel(
      "tensorflow-cpu",
      "2.21.0",
      "_2_27",
      X64,
      "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
    ),
    wheel(
      "tensorflow-cpu",
      "2.20.0",
      "2014",
      X64,
      "cf756bbe2d256e942ab5d0ad2c858fb40017581494febdb4387c149b1afde780",
    ),
    wheel(
      "tensorflow-cpu",
      "2.19.1",
      "2014",
      X64,
      "0b6d72bd09c267e7573757bd309f5b1e2cdb02577339991da751f3a1411e4dae",
    ),
    wheel(
      "tensorflow-cpu",
      "2.18.1",
      "2014",
      X64,
      "810c75d7149d2da0cb2092187817b0dcabb80728ca9f9cf3a61f3f42fadd1298",
    ),
  ],
  // There is no tensorflow-cpu for this machine: tensorflow itself has no CUDA there.
  "cpu-arm64": [
    wheel(
      "tensorflow",
      "2.21.0",
      "_2_27",
      ARM64,
      "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
    ),
    wheel(
      "tensorflow",
      "2.20.0",
      "2014",
      ARM64,
      "3e9568c8efcb05c0266be223e3269c62ebf7ad3498f156438311735f6fa5ced5",
    ),
  ],
  "gpu-x64": [
    wheel(
      "tensorflow",
      "2.21.0",
      "_2_27",
      X64,
      "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124",
    ),
    wheel(
      "tensorflow",
      "2.20.0",
      "2014",
      X64,
      "481499fd0f824583de8945be61d5e827898cdaa4f5ea1bc2cc28ca2ccff8229e",
    ),
  ],
};

/** Empty where no wheel fits. */
export function wheelsFor(variant: "cpu" | "gpu", arch: string): readonly Wheel[] {
  return WHEELS[`${variant}-${arch}`] ?? [];
}

/** The CUDA 12 packages that `tensorflow[and-cuda]` asks for, and the libraries of them that TensorFlow opens by name. */
export const CUDA_PACKAGES = [
  "nvidia-cublas-cu12>=12.5.3.2,<13",
  "nvidia-cuda-cupti-cu12>=12.5.82,<13",
  "nvidia-cuda-nvcc-cu12>=12.5.82,<13",
  "nvidia-cuda-nvrtc-cu12>=12.5.82,<13",
  "nvidia-cuda-runtime-cu12>=12.5.82,<13",
  "nvidia-cudnn-cu12>=9.3.0.75,<10",
  "nvidia-cufft-cu12>=11.2.3.61,<12",
  "nvidia-curand-cu12>=10.3.6.82,<11",
  "nvidia-cusolver-cu12>=11.6.3.83,<12",
  "nvidia-cusparse-cu12>=12.5.1.3,<13",
  "nvidia-nccl-cu12>=2.27.7,<3",
  "nvidia-nvjitlink-cu12>=12.5.82,<13",
] as const;
export const CUDA_LIBRARIES = [
  "libcudart.so.12",
  "libnvJitLink.so.12",
  "libcublasLt.so.12",
  "libcublas.so.12",
  "libcudnn.so.9",
  "libcufft.so.11",
  "libcurand.so.10",
  "libcusparse.so.12",
  "libcusolver.so.11",
  "libcupti.so.12",
  "libnccl.so.2",
] as const;
