import { execFile, spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Config, FarmError } from "@loc2vec/core";
import { postgresError, sqlState, withDatabase } from "@loc2vec/postgres";
import pg from "pg";
import { checkPort, onDisk, reasonOf, within } from "./problems.ts";
import { endProcess, processesIn, worksIn } from "./proc.ts";
import { type Account, SERVER_ENV, startServer } from "./server.ts";
import { type Log, passwordIn, type Running, type Service } from "./service.ts";

/** Name of the database and of its owner, a superuser. */
const NAME = "loc2vec";

/** For a small database that is loaded in bulk, then mostly read, on a machine that has other work. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "127.0.0.1",
  // No socket file: its path may hold 107 bytes only, and nobody needs it.
  unix_socket_directories: "",
  cluster_name: "loc2vec-farm",
  max_connections: "50",
  shared_buffers: "256MB",
  work_mem: "32MB",
  maintenance_work_mem: "256MB",
  // Parallel queries otherwise take theirs from /dev/shm, of which a container has 64 MB.
  min_dynamic_shared_memory: "64MB",
  effective_cache_size: "1GB",
  random_page_cost: "1.1",
  // Loading writes much at once; nothing is replicated.
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "2GB",
  checkpoint_timeout: "15min",
  jit: "off",
  log_checkpoints: "off",
};

export interface Installation {
  bin: string;
  major: number;
  postgis: boolean;
}

/** Every PostgreSQL server found, newest first: Debian's folders, then PATH. */
export function installations(root = "/usr/lib/postgresql", path = process.env.PATH ?? ""): Installation[] {
  const versions = existsSync(root) ? readdirSync(root) : [];
  const folders = [...versions.map((version) => join(root, version, "bin")), ...path.split(delimiter)];
  const byFolder = new Map<string, Installation>();
  for (const folder of folders) {
    if (!existsSync(join(folder, "postgres")) || !existsSync(join(folder, "initdb"))) continue;
    const bin = dirname(realpathSync(join(folder, "postgres")));
    const ask = (program: string, option: string): string =>
      spawnSync(join(bin, program), [option], { encoding: "utf8" }).stdout?.trim() ?? "";
    const major = Number(/(\d+)/.exec(ask("postgres", "--version"))?.[1]);
    const shared = ask("pg_config", "--sharedir") || `/usr/share/postgresql/${major}`;
    if (major > 0)
      byFolder.set(bin, { bin, major, postgis: existsSync(join(shared, "extension/postgis.control")) });
  }
  return [...byFolder.values()].sort((a, b) => b.major - a.major);
}

/**
 * The installation to run a data folder with: that of the version which made it; for a new one the newest that has PostGIS.
 *
 * @param madeBy major version of the data folder
 * @throws FarmError `missing`, with the packages to install
 */
export function chooseInstallation(
  installed: readonly Installation[],
  data: string,
  madeBy?: number,
): Installation {
  const fits = installed.filter(({ major }) => madeBy === undefined || major === madeBy);
  const chosen = fits.find(({ postgis }) => postgis);
  if (chosen !== undefined) return chosen;
  const instead = "or let FARM_DATABASE_URL name a PostgreSQL with PostGIS";
  if (installed.length === 0) {
    throw new FarmError(
      "missing",
      "PostgreSQL: not installed",
      `sudo apt-get install postgresql postgis postgresql-${madeBy ?? 15}-postgis-3, ${instead}`,
    );
  }
  if (fits.length === 0) {
    throw new FarmError(
      "missing",
      `${data}: made by PostgreSQL ${madeBy}, but installed is ${installed.map(({ major }) => major).join(", ")}`,
      `sudo apt-get install postgresql-${madeBy}-postgis-3, or remove that folder and import again`,
    );
  }
  const major = fits[0]?.major;
  throw new FarmError(
    "postgis-missing",
    `PostGIS for PostgreSQL ${major}: not installed`,
    `sudo apt-get install postgresql-${major}-postgis-3, ${instead}`,
  );
}

/**
 * PostgreSQL refuses to run as root; then it runs as the owner of its data, for new data as `postgres` or `nobody`.
 * Undefined: as ourselves.
 */
async function serverAccount(data: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(data).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const name of ["postgres", "nobody"]) {
    const user = users.find(([userName]) => userName === name);
    if (user !== undefined) return { uid: Number(user[2]), gid: Number(user[3]) };
  }
  throw new FarmError(
    "missing",
    "PostgreSQL does not run as root, and there is no user postgres or nobody",
    "sudo useradd --system postgres",
  );
}

/** Whether the account can get at the folder, for which it needs a right to each folder above. */
const canReach = (account: Account, folder: string): boolean =>
  spawnSync("test", ["-x", folder], { ...account, cwd: "/" }).status === 0;

/**
 * The folder of the server, made when it is missing; only `data` in it belongs to the server's account. Where the
 * farm's home cannot be reached by that account (it may lie under /root), it is under /var/lib and linked from home.
 */
async function prepareFolder(config: Config): Promise<{ folder: string; account: Account | undefined }> {
  const wanted = database.folder(config);
  await mkdir(config.home, { recursive: true });
  const account = await serverAccount(join(wanted, "data"));
  const made = await stat(wanted).catch(() => undefined);
  if (made === undefined) await rm(wanted, { force: true }); // A link whose target was removed.
  if (!existsSync(join(wanted, "data"))) {
    await mkdir(wanted, { recursive: true });
    await chmod(wanted, account === undefined ? 0o700 : 0o711);
    if (account !== undefined && !canReach(account, wanted) && !(await lstat(wanted)).isSymbolicLink()) {
      const home = await realpath(config.home);
      const target = `/var/lib/loc2vec-farm-${createHash("sha256").update(home).digest("hex").slice(0, 12)}`;
      await mkdir(target, { recursive: true });
      await chmod(target, 0o711);
      await rm(wanted, { recursive: true });
      await symlink(target, wanted);
    }
  }
  const folder = await realpath(wanted);
  // The first call did not know the data that a link leads to.
  return { folder, account: await serverAccount(join(folder, "data")) };
}

/** Makes the data folder, wholly or not at all. */
async function initialize(
  folder: string,
  { bin }: Installation,
  account: Account | undefined,
  password: string,
): Promise<void> {
  // An initdb whose caller was killed may go on for a while: it keeps its own, lost folder.
  for (const name of await readdir(folder)) {
    if (name.startsWith("new-")) await rm(join(folder, name), { recursive: true, force: true });
  }
  const fresh = join(folder, `new-${randomUUID()}`);
  const passwordFile = `${fresh}.password`;
  try {
    await mkdir(fresh, { mode: 0o700 });
    await writeFile(passwordFile, password, { flag: "wx", mode: 0o600 });
    if (account !== undefined) {
      await chown(fresh, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    const args = [
      ...["--pgdata", fresh, "--username", NAME, "--pwfile", passwordFile],
      ...["--auth-host", "scram-sha-256", "--auth-local", "reject"],
      ...["--encoding", "UTF8", "--locale", "C", "--data-checksums", "--no-instructions"],
    ];
    await promisify(execFile)(join(bin, "initdb"), args, { ...account, cwd: "/", env: SERVER_ENV });
    await rm(passwordFile);
    await rename(fresh, join(folder, "data"));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    const said = (error as { stderr?: string }).stderr?.split("\n") ?? [];
    const told = said.find((line) => /fatal|error/i.test(line));
    if (told === undefined) throw error;
    throw new FarmError(
      "postgres",
      `${folder}: PostgreSQL's initdb failed: ${JSON.stringify(told.trim())}`,
      /space/.test(told) ? "free some space, or let FARM_HOME name a folder on another disk" : "",
      { cause: error },
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
}

const urlOf = (port: number, password: string, name = NAME): string =>
  `postgresql://${NAME}:${password}@127.0.0.1:${port}/${name}`;

async function query<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  timeoutMs = 5000,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs });
  client.on("error", () => {});
  try {
    return await within(timeoutMs, async () => {
      await client.connect();
      return (await client.query<Row>(text)).rows;
    });
  } finally {
    // Not awaited: the goodbye of a server that hangs never comes.
    client.end().catch(() => {});
  }
}

/** @throws Error when it does not answer (yet), or is another server than the one of `folder` */
async function ask(folder: string, port: number): Promise<Running> {
  const password = await passwordIn(join(folder, "password"));
  const rows = await query<{ data: string; version: string }>(
    urlOf(port, password, "postgres"),
    "SELECT current_setting('data_directory') AS data, current_setting('server_version') AS version",
  ).catch((error) => {
    if ((error as { code?: unknown }).code !== "28P01") throw error;
    throw new FarmError(
      "postgres",
      `the private PostgreSQL on port ${port} refuses the password in ${join(folder, "password")}`,
      `put the right one there, or remove ${folder} and import again`,
      { cause: error },
    );
  });
  if (rows[0]?.data !== join(folder, "data")) throw new Error("another PostgreSQL answers there");
  const { pid } = await readPid(folder);
  return { url: urlOf(port, password), port, pid, version: rows[0].version.split(" ")[0] ?? "unknown" };
}

/** What a running server, or one that was killed, left in its data folder; NaN when there is nothing. */
async function readPid(folder: string): Promise<{ pid: number; port: number }> {
  const lines = (await readFile(join(folder, "data/postmaster.pid"), "utf8").catch(() => "")).split("\n");
  return { pid: Number.parseInt(lines[0] ?? "", 10), port: Number.parseInt(lines[3] ?? "", 10) };
}

/** While it starts (perhaps repairing after a crash) or stops, PostgreSQL answers with these. */
const isBusy = (error: unknown): boolean =>
  ["57P03", "ECONNREFUSED"].includes(String((error as { code?: unknown }).code));

/** Clears away what a killed server left, so that a new one can start. */
async function clearRemains(folder: string): Promise<void> {
  const data = join(folder, "data");
  const remaining = processesIn(data, "postgres");
  if (remaining.length > 0) {
    throw new FarmError(
      "postgres",
      `${data}: process ${remaining.join(", ")} of a killed PostgreSQL still uses it`,
      `kill ${remaining.join(" ")}`,
    );
  }
  // PostgreSQL sees itself that no process has the recorded pid any more, but neither that it belongs to another program
  // now, nor that it is a zombie (for ever, in a container whose first process does not collect them).
  const { pid } = await readPid(folder);
  if (existsSync(`/proc/${pid}`)) await rm(join(data, "postmaster.pid"), { force: true });
}

export const database: Service = {
  name: "database",
  title: "PostgreSQL",
  externalUrl: (config) => config.databaseUrl,
  folder: (config) => join(config.home, "postgres"),
  port: (config) => config.databasePort,

  async checkExternal(url) {
    try {
      const { rows } = await within(10_000, () =>
        withDatabase(url, (client) =>
          client.query<{ version: string }>("SELECT current_setting('server_version') AS version"),
        ),
      );
      return rows[0]?.version.split(" ")[0] ?? "unknown";
    } catch (error) {
      throw postgresError(error, url);
    }
  },

  async find(config) {
    const folder = await realpath(database.folder(config)).catch(() => undefined);
    if (folder === undefined) return undefined;
    const data = join(folder, "data");
    const begin = Date.now();
    while (true) {
      const { pid, port } = await readPid(folder);
      const waited = Date.now() - begin;
      if (worksIn(pid, data)) {
        try {
          return await ask(folder, port);
        } catch (error) {
          if (error instanceof FarmError) throw error;
          // It does answer.
          if (sqlState(error) !== undefined && !isBusy(error)) {
            throw postgresError(error, `postgres://127.0.0.1:${port}`);
          }
          if (!isBusy(error) || waited > 120_000) {
            throw new FarmError(
              "postgres",
              `the private PostgreSQL (process ${pid}, port ${port}) runs but does not answer: ${reasonOf(error)}`,
              `kill -INT ${pid}, and kill -9 ${pid} if that does not end it`,
              { cause: error },
            );
          }
        }
      } else if (waited > 20_000 || processesIn(data, "postgres").length === 0) {
        return undefined;
      }
      // Else it begins (whoever started it was killed), or it was killed and its helpers end soon after it.
      await sleep(100);
    }
  },

  async start(config: Config, log: Log) {
    const wanted = join(database.folder(config), "data");
    const madeBy = Number(await readFile(join(wanted, "PG_VERSION"), "utf8").catch(() => "")) || undefined;
    const installation = chooseInstallation(installations(), wanted, madeBy);
    const port = config.databasePort;
    await checkPort("PostgreSQL", port, "FARM_DATABASE_PORT");
    const { folder, account } = await onDisk(database.folder(config), () => prepareFolder(config));
    const data = join(folder, "data");
    if (existsSync(data) && !existsSync(join(folder, "password"))) {
      throw new FarmError(
        "postgres",
        `${folder}: the file with the database's password is gone`,
        "remove that folder and import again",
      );
    }
    const password = await onDisk(folder, () => passwordIn(join(folder, "password")));
    if (existsSync(data)) await clearRemains(folder);
    else {
      log(`making a PostgreSQL data folder in ${folder}`);
      await onDisk(folder, () => initialize(folder, installation, account, password));
    }
    log(`starting a private PostgreSQL ${installation.major} on port ${port}`);
    const settings = Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
      "-c",
      `${name}=${value}`,
    ]);
    const server = {
      title: "PostgreSQL",
      command: join(installation.bin, "postgres"),
      args: ["-D", data, ...settings],
      log: join(folder, "postgres.log"),
      account,
    };
    return startServer(server, () => ask(folder, port));
  },

  async prepare({ url }) {
    const admin = new URL(url);
    admin.pathname = "/postgres";
    try {
      const [database] = await query(admin.href, `SELECT 1 FROM pg_database WHERE datname = '${NAME}'`);
      if (database === undefined) await query(admin.href, `CREATE DATABASE ${NAME}`, 60_000);
    } catch (error) {
      throw postgresError(error, admin.href);
    }
  },

  async processOf(config) {
    const folder = await realpath(database.folder(config)).catch(() => undefined);
    if (folder === undefined) return undefined;
    const data = join(folder, "data");
    const { pid } = await readPid(folder);
    return worksIn(pid, data) ? pid : processesIn(data, "postgres")[0];
  },

  stop: (pid) =>
    endProcess(pid, [
      ["SIGINT", 60_000],
      ["SIGQUIT", 10_000],
      ["SIGKILL", 5000],
    ]),
};
