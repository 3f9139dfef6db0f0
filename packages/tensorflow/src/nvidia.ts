import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { besideLibraries } from "./setup.ts";
import { CUDA_LIBRARIES } from "./wheels.ts";

/** The oldest driver that CUDA 12 runs on (docs.nvidia.com/deploy/cuda-compatibility). */
export const OLDEST_DRIVER = 525;

export interface Nvidia {
  /** Version of the driver, e.g. `535.104.05`; undefined when the machine has a card and no driver. */
  driver: string | undefined;
  /** Names of the cards; empty when nothing tells them. */
  cards: string[];
  /** The lowest of the cards, e.g. 8.0 for Ampere; absent when nothing tells it. */
  computeCapability?: number;
}

/** NVIDIA's driver and cards on this machine; undefined when there is neither. */
export function findNvidia(): Nvidia | undefined {
  const query = ["--query-gpu=driver_version,compute_cap,name", "--format=csv,noheader"];
  const { stdout } = spawnSync("nvidia-smi", query, { encoding: "utf8", timeout: 30_000 });
  const rows = [...(stdout ?? "").matchAll(/^(\d[\d.]*), *(\d+\.\d+), *(.+)$/gm)];
  if (rows.length > 0) {
    return {
      driver: rows[0]?.[1],
      cards: rows.map(([, , , name]) => name as string),
      computeCapability: Math.min(...rows.map(([, , capability]) => Number(capability))),
    };
  }
  const driver = parseDriver(read("/proc/driver/nvidia/version"));
  if (driver !== undefined) return { driver, cards: [] };
  return hasCard() ? { driver: undefined, cards: [] } : undefined;
}

/** The driver's version in `/proc/driver/nvidia/version`. */
export function parseDriver(text: string): string | undefined {
  return /^NVRM version:.*?Kernel Module(?: for \S+)?\s+(\d[\d.]*)/m.exec(text)?.[1];
}

const read = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");

/** Whether the PCI bus has a display controller (class 03) of NVIDIA's. */
function hasCard(): boolean {
  const devices = "/sys/bus/pci/devices";
  if (!existsSync(devices)) return false;
  return readdirSync(devices).some(
    (name) =>
      read(join(devices, name, "vendor")).trim() === "0x10de" &&
      read(join(devices, name, "class")).startsWith("0x03"),
  );
}

export interface CudaLibrary {
  name: string;
  /** Why it cannot be opened; undefined when it can. */
  problem: string | undefined;
}

const OPEN = `
const { existsSync } = require("node:fs");
const { constants } = require("node:os");
const { join } = require("node:path");
const [folders, names] = process.argv.slice(1).map((each) => JSON.parse(each));
for (const name of names) {
  const path = folders.map((folder) => join(folder, name)).find(existsSync) ?? name;
  let problem;
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL);
  } catch (error) {
    // It was opened, and is no addon of Node's.
    if (!error.message.startsWith("Module did not self-register")) problem = error.message;
  }
  console.log(JSON.stringify({ name, problem }));
}`;

/**
 * Opens CUDA's libraries, as TensorFlow does: those that the setup has fetched, else the system's. In a process of its own.
 *
 * @param folders to look in first. Default: those of the setup
 */
export function openCudaLibraries(folders: readonly string[] = cudaFolders()): CudaLibrary[] {
  const args = ["-e", OPEN, JSON.stringify(folders), JSON.stringify(CUDA_LIBRARIES)];
  const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const results = stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { name: string; problem?: string });
  return CUDA_LIBRARIES.map((name, at) => ({
    name,
    problem: at < results.length ? results[at]?.problem : "opening it ended the process",
  }));
}

function cudaFolders(): string[] {
  const nvidia = besideLibraries("nvidia");
  return nvidia === undefined ? [] : readdirSync(nvidia).map((name) => join(nvidia, name, "lib"));
}
