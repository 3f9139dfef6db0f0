// The Debian and Ubuntu packages that the local services and the import need.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";

const onPath = (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
const runs = (command, args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;
const hasPostgis = () => {
  const base = "/usr/share/postgresql";
  return (
    existsSync(base) &&
    readdirSync(base).some((version) => existsSync(`${base}/${version}/extension/postgis.control`))
  );
};

/** What is missing, as Debian package names; `tests`: also what only they need. */
function missingPackages({ tests }) {
  const missing = [];
  if (!onPath("redis-server")) missing.push("redis-server");
  if (!hasPostgis()) missing.push("postgresql-postgis");
  if (!onPath("osm2pgsql")) missing.push("osm2pgsql");
  if (!onPath("osmium")) missing.push("osmium-tool");
  if (!onPath("bzip2")) missing.push("bzip2");
  if (!onPath("g++")) missing.push("g++");
  if (!onPath("python3")) missing.push("python3");
  // Debian takes these two out of Python: one fetches TensorFlow's wheel, the other serves the tests.
  if (!runs("python3", ["-m", "pip", "--version"])) missing.push("python3-pip");
  if (!runs("python3", ["-c", "import ensurepip, venv"])) missing.push("python3-venv");
  // The board is tried in a real browser.
  if (tests && !["chromium", "chromium-browser", "google-chrome"].some(onPath)) missing.push("chromium");
  return missing;
}

/** `postgresql-postgis` is a virtual name: the real one carries the server's version. */
function resolveNames(names) {
  return names.map((name) => {
    if (name !== "postgresql-postgis") return name;
    const found = spawnSync("apt-cache", ["search", "--names-only", "^postgresql-[0-9]+-postgis-3$"], {
      encoding: "utf8",
    });
    const first = found.stdout
      .split("\n")
      .map((line) => line.split(" ")[0])
      .filter(Boolean)
      .sort()
      .at(-1);
    return first ?? "postgresql-15-postgis-3";
  });
}

/** Installs what is missing, without letting apt start or create any service. Returns a note for the user. */
export function installSystemPackages({ tests = false } = {}) {
  const wanted = missingPackages({ tests });
  if (wanted.length === 0) return "in place";
  const root = process.getuid?.() === 0;
  const sudo = root ? [] : ["sudo", "-n"];
  const names = resolveNames(wanted);
  const byHand = `sudo apt-get install ${names.join(" ")}`;
  if (!onPath("apt-get") || (!root && spawnSync("sudo", ["-n", "true"]).status !== 0)) {
    console.error(`error: missing system packages: ${names.join(" ")} (mend: ${byHand})`);
    process.exit(5);
  }
  console.error(`setup: apt-get installs ${names.join(" ")}`);
  const as = (command, args) =>
    spawnSync([...sudo, command][0], [...sudo, command, ...args].slice(1), {
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  // invoke-rc.d asks this file whether it may start a service; 101 says no.
  const policy = "/usr/sbin/policy-rc.d";
  const guard = root && !existsSync(policy);
  const cluster = "/etc/postgresql-common/createcluster.conf";
  const noCluster = root && !existsSync(cluster);
  try {
    if (guard) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
    if (noCluster) {
      mkdirSync("/etc/postgresql-common", { recursive: true });
      writeFileSync(cluster, "create_main_cluster = false\n");
    }
    as("apt-get", ["update"]);
    const result = as("apt-get", [
      "install",
      "-y",
      "--no-install-recommends",
      "-o",
      "Dpkg::Options::=--force-confold",
      ...resolveNames(wanted),
    ]);
    if (result.status !== 0) {
      console.error(result.stdout + result.stderr);
      console.error(`error: apt-get could not install ${names.join(" ")} (mend: ${byHand})`);
      process.exit(5);
    }
  } finally {
    if (guard) rmSync(policy, { force: true });
    if (noCluster) rmSync(cluster, { force: true });
  }
  return `installed ${names.join(" ")}`;
}
