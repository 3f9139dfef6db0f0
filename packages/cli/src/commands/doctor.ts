import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { EXIT_CODES, errorMessage } from "@loc2vec/core";
import { closeRedis, connectRedis } from "@loc2vec/queue";
import { rendererInfo } from "@loc2vec/rasterizer";
import { servicesStatus } from "@loc2vec/services";
import {
  boundSource,
  findNvidia,
  loadTensorflow,
  type Nvidia,
  OLDEST_DRIVER,
  openCudaLibraries,
} from "@loc2vec/tensorflow";
import { defineCommand } from "../command-line.ts";
import type { CommandContext } from "../context.ts";

export const doctor = defineCommand({
  usage: "doctor",
  description: "say what is there and what is missing",
  action: doctorCommand,
});

interface Finding {
  what: string;
  ok: boolean;
  detail: string;
}

/** Adds a finding: what `work` returns where it is well, and else the error that it throws. */
type Look = (what: string, work: () => Promise<string> | string) => Promise<void>;

const SETUP_GPU = "FARM_TENSORFLOW=gpu npm run setup";
const DRIVER = `NVIDIA's driver, version ${OLDEST_DRIVER} or newer; in a container, --gpus all`;

/** @throws Error when there is none, or it is too old for CUDA 12 */
function driverOf(nvidia: Nvidia | undefined): string {
  if (nvidia?.driver === undefined) {
    const what = nvidia === undefined ? "neither a driver nor a card is there" : "a card, but no driver";
    throw new Error(`${what} (mend: ${DRIVER})`);
  }
  if (Number.parseInt(nvidia.driver, 10) < OLDEST_DRIVER)
    throw new Error(`${nvidia.driver} is too old for CUDA 12 (mend: ${DRIVER})`);
  return nvidia.driver;
}

async function doctorCommand(context: CommandContext): Promise<void> {
  const findings: Finding[] = [];
  const look: Look = async (what, work) => {
    try {
      findings.push({ what, ok: true, detail: await work() });
    } catch (error) {
      findings.push({ what, ok: false, detail: errorMessage(error) });
    }
  };
  const [cpu] = cpus();
  await look(
    "machine",
    () => `${cpu?.model ?? "?"}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
  );
  await look("node", () => process.version);
  await lookForPrograms(look);
  await look("mapnik", async () => rendererInfo(await context.profile()).renderer);
  await look("tensorflow", async () => {
    const { version, device } = await loadTensorflow();
    return `${version} on ${device}, from ${await boundSource()}`;
  });
  await lookForGpu(look, context);
  await lookAtServices(look, context);
  await look(`store ${context.config.store}`, async () => {
    const store = context.store();
    const key = `doctor/${process.pid}`;
    await store.put(key, new TextEncoder().encode("hello"));
    const back = await store.get(key);
    await store.remove(key);
    if (back === undefined || new TextDecoder().decode(back) !== "hello")
      throw new Error("what was written does not come back");
    return "reads and writes";
  });
  const ok = findings.every((finding) => finding.ok);
  context.result(
    { ok, findings },
    findings.map(({ what, ok: fine, detail }) => `${fine ? "ok     " : "MISSING"} ${what}: ${detail}`),
  );
  if (!ok) process.exitCode = EXIT_CODES.missing;
}

async function lookForPrograms(look: Look): Promise<void> {
  for (const [program, flag, install] of [
    ["osm2pgsql", "--version", "apt-get install osm2pgsql"],
    ["osmium", "--version", "apt-get install osmium-tool"],
    ["bzip2", "--version", "apt-get install bzip2"],
    ["g++", "--version", "apt-get install g++"],
    ["python3", "--version", "apt-get install python3 python3-pip python3-venv"],
  ] as const) {
    await look(program, () => {
      const { error, stdout, stderr } = spawnSync(program, [flag], { encoding: "utf8" });
      if (error) throw new Error(`not installed (mend: ${install})`);
      return `${stdout}${stderr}`.match(/\d+\.\d+(\.\d+)?/)?.[0] ?? "";
    });
  }
}

async function lookForGpu(look: Look, context: CommandContext): Promise<void> {
  const nvidia = findNvidia();
  if (context.config.tensorflow === "gpu") {
    await look("nvidia driver", () => driverOf(nvidia));
    for (const { name, problem } of openCudaLibraries()) {
      await look(`cuda ${name}`, () => {
        if (problem === undefined) return "opens";
        throw new Error(`${problem} (mend: ${SETUP_GPU})`);
      });
    }
    await look("gpu", async () => {
      const { device } = await loadTensorflow();
      if (device === "GPU") return nvidia?.cards.join(", ") || "TensorFlow uses it";
      const bound = await boundSource();
      throw new Error(
        bound?.startsWith("tensorflow ")
          ? "TensorFlow sees none (mend: see to the driver and to CUDA's libraries above)"
          : `${bound} cannot use one (mend: ${SETUP_GPU})`,
      );
    });
  } else if (nvidia !== undefined) {
    await look("gpu", () => {
      const cards = nvidia.cards.join(", ") || "a card of NVIDIA's";
      return `${cards}, not used: FARM_TENSORFLOW is ${context.config.tensorflow}; ${SETUP_GPU}`;
    });
  }
}

async function lookAtServices(look: Look, context: CommandContext): Promise<void> {
  for (const { service, state, version, problem } of await servicesStatus(context.config)) {
    await look(service, async () => {
      if (problem !== undefined) throw new Error(problem);
      const { redisUrl, queuePrefix } = context.config;
      // A private one is as the farm set it up.
      if (service === "redis" && redisUrl !== undefined)
        await closeRedis(await connectRedis(redisUrl, { writeUnder: queuePrefix }));
      return `${state}${version === undefined ? "" : `, ${version}`}`;
    });
  }
}
