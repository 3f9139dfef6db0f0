import { existsSync, readFileSync } from "node:fs";
import { findNvidia } from "./nvidia.ts";

/** Compute capability of Ampere, whose tensor cores are the first that multiply bfloat16. */
const AMPERE = 8;

/** Whether the device multiplies bfloat16 in hardware, which there is faster than float32. */
export function hasBfloat16(device: "CPU" | "GPU"): boolean {
  if (device === "GPU") return (findNvidia()?.computeCapability ?? 0) >= AMPERE;
  return existsSync("/proc/cpuinfo") && cpuHasBfloat16(readFileSync("/proc/cpuinfo", "utf8"));
}

/** By the flags of an x86 in `/proc/cpuinfo`: those of the instructions that oneDNN uses. */
export function cpuHasBfloat16(cpuinfo: string): boolean {
  return /^flags\s*:.*\b(avx512_bf16|amx_bf16)\b/m.test(cpuinfo);
}
