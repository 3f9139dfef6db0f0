import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNvidia } from "@loc2vec/tensorflow";
import { afterAll, beforeAll, expect, test } from "vitest";
import { farm } from "./farm.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "doctor-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Finding {
  what: string;
  ok: boolean;
  detail: string;
}

async function doctor(
  settings: Record<string, string>,
): Promise<{ code: number | null; findings: Map<string, Finding> }> {
  const { code, json } = await farm(["doctor", "--json"], { FARM_HOME: folder, ...settings });
  return { code, findings: new Map((json.findings as Finding[]).map((each) => [each.what, each])) };
}

/** A PATH whose nvidia-smi prints this. */
async function withSmi(text: string): Promise<{ PATH: string }> {
  await writeFile(join(folder, "nvidia-smi"), `#!/bin/sh\ncat <<'END'\n${text}\nEND\n`);
  await chmod(join(folder, "nvidia-smi"), 0o755);
  return { PATH: `${folder}:${process.env.PATH}` };
}

test.runIf(findNvidia() === undefined)(
  "without a GPU, what FARM_TENSORFLOW=gpu lacks is said thing by thing",
  async () => {
    const { code, findings } = await doctor({ FARM_TENSORFLOW: "gpu" });
    expect(code).toBe(5);
    expect(findings.get("nvidia driver")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /^neither a driver nor a card .*mend: NVIDIA's driver, version 525 or newer/,
      ),
    });
    const libraries = [...findings.keys()].filter((what) => what.startsWith("cuda "));
    expect(libraries).toContain("cuda libcudart.so.12");
    expect(libraries).toContain("cuda libcudnn.so.9");
    expect(findings.get("cuda libcudnn.so.9")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /libcudnn\.so\.9: cannot open shared object file.*mend: FARM_TENSORFLOW=gpu/,
      ),
    });
    expect(findings.get("gpu")).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /tensorflow-cpu .* cannot use one \(mend: FARM_TENSORFLOW=gpu npm run setup\)/,
      ),
    });
    // With the setting cpu, nothing of this is missing, nor said.
    const plain = await doctor({});
    expect([...plain.findings.keys()].filter((what) => /cuda|gpu|nvidia/.test(what))).toEqual([]);
  },
);

test("the driver's version is read and compared; a card that is not used is told", async () => {
  const old = await doctor({
    FARM_TENSORFLOW: "gpu",
    ...(await withSmi("470.256.02, 8.0, NVIDIA A100-SXM4-40GB\n470.256.02, 8.0, NVIDIA A100-SXM4-40GB")),
  });
  expect(old.findings.get("nvidia driver")).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/^470\.256\.02 is too old for CUDA 12/),
  });
  const smi = await withSmi("570.86.15, 9.0, NVIDIA H100 80GB HBM3");
  const fine = await doctor({ FARM_TENSORFLOW: "gpu", ...smi });
  expect(fine.findings.get("nvidia driver")).toMatchObject({ ok: true, detail: "570.86.15" });
  const unused = await doctor(smi);
  expect(unused.findings.get("gpu")).toMatchObject({
    ok: true,
    detail: expect.stringMatching(/^NVIDIA H100 80GB HBM3, not used: FARM_TENSORFLOW is cpu/),
  });
});
