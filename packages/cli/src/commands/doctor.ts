import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { EXIT_CODES, errorMessage } from "@loc2vec/core";
import { rendererInfo } from "@loc2vec/rasterizer";
import { servicesStatus } from "@loc2vec/services";
import { boundSource, loadTensorflow } from "@loc2vec/tensorflow";
import type { Context } from "../context.ts";

interface Finding {
  what: string;
  ok: boolean;
  detail: string;
}

export async function doctor(context: Context): Promise<void> {
  const findings: Finding[] = [];
  const look = async (what: string, work: () => Promise<string> | string): Promise<void> => {
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
  for (const [program, flag, install] of [
    ["osm2pgsql", "--version", "apt-get install osm2pgsql"],
    ["g++", "--version", "apt-get install g++"],
    ["python3", "--version", "apt-get install python3 python3-pip python3-venv"],
  ] as const) {
    await look(program, () => {
      const { error, stdout, stderr } = spawnSync(program, [flag], { encoding: "utf8" });
      if (error) throw new Error(`not installed (mend: ${install})`);
      return `${stdout}${stderr}`.match(/\d+\.\d+(\.\d+)?/)?.[0] ?? "";
    });
  }
  await look("mapnik", async () => rendererInfo(await context.profile()).renderer);
  await look("tensorflow", async () => {
    const { version, device } = await loadTensorflow();
    return `${version} on ${device}, from ${await boundSource()}`;
  });
  for (const { service, state, version, problem } of await servicesStatus(context.config)) {
    await look(service, () => {
      if (problem !== undefined) throw new Error(problem);
      return `${state}${version === undefined ? "" : `, ${version}`}`;
    });
  }
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
