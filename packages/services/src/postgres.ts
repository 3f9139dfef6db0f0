import { randomBytes, createHash } from "node:crypto";
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, errorMessage, FarmError } from "@loc2vec/core";
import pg from "pg";
import { lastLine, makeFolder, readText, sleep } from "./files.ts";
import { busy } from "./redis.ts";
import { type Outcome, run } from "./run.ts";
import type { Service } from "./service.ts";

const NAME = "loc2vec";
const INSTALL = "apt-get install postgresql-15-postgis-3 (or your release's postgresql-N-postgis-3)";

/** For a map that is loaded at once and then only read. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "100",
  shared_buffers: "256MB",
  maintenance_work_mem: "128MB",
  work_mem: "16MB",
  max_wal_size: "2GB",
  random_page_cost: "1.1",
  jit: "off",
};

/** The private PostgreSQL. It refuses to run as root: there the system's user `postgres` runs it. */
export function postgresService(config: Config): Service {
  const folder = join(config.home, "postgres");
  const port = config.databasePort;
  const password = (): string => readText(join(folder, "password")) ?? "";
  const urlOf = (database: string): string => `postgres://${NAME}:${password()}@127.0.0.1:${port}/${database}`;
  const dataOf = (): string => join(readText(join(folder, "location")) ?? folder, "data");
  return {
    name: "database",
    folder,
    get url() {
      return urlOf(NAME);
    },
    external: config.databaseUrl,
    async probe() {
      const client = new pg.Client({ connectionString: urlOf("postgres"), connectionTimeoutMillis: 3000 });
      client.on("error", () => {});
      try {
        await client.connect();
        const { rows } = await client.query("SELECT current_setting('data_directory') AS data, current_setting('server_version') AS version");
        if (rows[0].data !== dataOf()) return busy(port, `a PostgreSQL in ${rows[0].data}`);
        return { version: rows[0].version as string, pid: Number(readText(join(dataOf(), "postmaster.pid"))?.split("\n")[0]) };
      } catch (error) {
        if (error instanceof FarmError) throw error;
        const reason = errorMessage(error);
        if (/ECONNREFUSED|starting up|shutting down|ECONNRESET|terminated unexpectedly/.test(reason)) return undefined;
        return busy(port, `another program than our PostgreSQL (${reason})`);
      } finally {
        await client.end().catch(() => {});
      }
    },
    async start() {
      const server = await serverOf(folder);
      const data = dataOf();
      if (!existsSync(join(data, "PG_VERSION"))) await initialize(server, folder);
      const log = join(server.folder, "postgres.log");
      const options = Object.entries({ ...SETTINGS, port: String(port) }).map(([name, value]) => `-c ${name}='${value}'`);
      const args = ["-D", data, "-l", log, "-w", "-t", "60", "-o", options.join(" "), "start"];
      const { code, stderr } = await server.run("pg_ctl", args);
      if (code !== 0) {
        const why = readText(log)?.split("\n").findLast((line) => /FATAL|PANIC|ERROR/.test(line)) ?? (lastLine(log) || stderr);
        throw new FarmError("service", `the private PostgreSQL on port ${port} did not start: ${why}`, `see ${log}`);
      }
      await createDatabase(urlOf("postgres"));
    },
    async stop() {
      const server = await serverOf(folder);
      const { code, stderr } = await server.run("pg_ctl", ["-D", dataOf(), "-m", "fast", "-w", "stop"]);
      if (code !== 0) throw new FarmError("service", `the private PostgreSQL does not stop: ${stderr.trim()}`);
    },
    async check(external) {
      const client = new pg.Client({ connectionString: external, connectionTimeoutMillis: 5000 });
      client.on("error", () => {});
      try {
        await client.connect();
        const { rows } = await client.query("SELECT current_setting('server_version') AS version");
        return { version: rows[0].version as string };
      } finally {
        await client.end().catch(() => {});
      }
    },
  };
}

interface Server {
  /** Of data and log: one that the server's user may enter. */
  folder: string;
  user: number | undefined;
  run(program: string, args: readonly string[]): Promise<Outcome>;
}

async function serverOf(folder: string): Promise<Server> {
  const programs = "/usr/lib/postgresql";
  const newest = existsSync(programs) ? readdirSync(programs).map(Number).filter(Boolean).sort((a, b) => b - a)[0] : undefined;
  const bin = newest === undefined ? "" : join(programs, String(newest), "bin");
  makeFolder(folder);
  const start = async (command: string, args: readonly string[]): Promise<Outcome> =>
    run(command, args, { ...process.env, LC_ALL: "C" }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") throw new FarmError("missing", "PostgreSQL is not installed", INSTALL);
      throw error;
    });
  if (process.getuid?.() !== 0) {
    return { folder, user: undefined, run: (program, args) => start(join(bin, program), args) };
  }
  const entry = /^postgres:[^:]*:(\d+):/m.exec(readFileSync("/etc/passwd", "utf8"));
  if (entry === null) throw new FarmError("missing", "there is no user postgres to run PostgreSQL as", INSTALL);
  const user = Number(entry[1]);
  const asUser = (command: string, args: readonly string[]): Promise<Outcome> =>
    start("setpriv", ["--reuid", String(user), "--regid", String(user), "--clear-groups", command, ...args]);
  let place = readText(join(folder, "location")) ?? folder;
  if (place === folder && (await asUser("test", ["-x", folder])).code !== 0) {
    // The home lies where only root may go, as below /root.
    place = `/var/lib/loc2vec-farm/${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
    writeFileSync(join(folder, "location"), place);
  }
  makeFolder(place);
  chownSync(place, user, user);
  return { folder: place, user, run: (program, args) => asUser(join(bin, program), args) };
}

/** Makes the cluster beside its place and moves it there when it is whole. */
async function initialize(server: Server, folder: string): Promise<void> {
  const secret = join(folder, "password");
  if (readText(secret) === undefined) writeFileSync(secret, randomBytes(18).toString("base64url"), { mode: 0o600 });
  const begun = join(server.folder, "data.new");
  const pwfile = join(server.folder, "pwfile");
  rmSync(begun, { recursive: true, force: true });
  writeFileSync(pwfile, readText(secret) ?? "", { mode: 0o600 });
  try {
    if (server.user !== undefined) chownSync(pwfile, server.user, server.user);
    const args = ["-D", begun, "-U", NAME, `--pwfile=${pwfile}`, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"];
    const { code, stderr } = await server.run("initdb", args);
    if (code !== 0) {
      throw new FarmError("service", `${begun}: initdb: ${stderr.trim().split("\n").at(-1)}`, "free some disk space, or set FARM_HOME");
    }
  } finally {
    rmSync(pwfile, { force: true });
  }
  const moved = await run("mv", [begun, join(server.folder, "data")]);
  if (moved.code !== 0) throw new FarmError("service", `${begun}: ${moved.stderr.trim()}`);
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  for (let tries = 0; ; tries++) {
    try {
      await client.connect();
      break;
    } catch (error) {
      if (tries === 20) throw error;
      await sleep(100);
    }
  }
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [NAME]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${NAME}`);
  } finally {
    await client.end();
  }
}
