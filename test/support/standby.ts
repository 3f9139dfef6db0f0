import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { freePort } from "./ports.ts";

/**
 * A hot standby: a server that was filled as a primary and then started as a standby of nobody.
 *
 * @param databaseUrl of a server of this machine, whose programs and account it takes
 * @param fill is given the URL while it can be written
 */
export async function startStandby(
  databaseUrl: string,
  fill: (databaseUrl: string) => Promise<void>,
): Promise<{ url: string; stop(): Promise<void> }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(
    "SELECT setting AS bin, current_setting('data_directory') AS data FROM pg_config() WHERE name = 'BINDIR'",
  );
  await client.end();
  const { bin, data: other } = rows[0];
  const { uid, gid } = await stat(other);
  const account = process.getuid?.() === 0 ? { uid, gid } : {};
  const data = await mkdtemp(join(tmpdir(), "standby-"));
  await chown(data, uid, gid);
  await promisify(execFile)(
    join(bin, "initdb"),
    ["--pgdata", data, "--username", "farm", "--auth", "trust", "--no-sync"],
    { ...account, cwd: "/" },
  );
  const port = await freePort();
  const url = `postgres://farm@127.0.0.1:${port}/postgres`;
  const start = async () => {
    const settings = [
      "listen_addresses=127.0.0.1",
      `port=${port}`,
      "unix_socket_directories=",
      "fsync=off",
    ].flatMap((setting) => ["-c", setting]);
    const server = spawn(join(bin, "postgres"), ["-D", data, ...settings], {
      ...account,
      cwd: "/",
      stdio: "ignore",
    });
    for (let tries = 0; ; tries++) {
      const probe = new pg.Client({ connectionString: url });
      probe.on("error", () => {});
      const error = await probe.connect().then(
        () => undefined,
        (thrown: Error) => thrown,
      );
      await probe.end().catch(() => {});
      if (error === undefined) return server;
      if (tries > 300 || server.exitCode !== null) throw error;
      await sleep(100);
    }
  };
  const primary = await start();
  await fill(url);
  primary.kill("SIGINT");
  await once(primary, "exit");
  await writeFile(join(data, "standby.signal"), "");
  await chown(join(data, "standby.signal"), uid, gid);
  const standby = await start();
  return {
    url,
    async stop() {
      standby.kill("SIGQUIT");
      await once(standby, "exit");
      await rm(data, { recursive: true });
    },
  };
}
