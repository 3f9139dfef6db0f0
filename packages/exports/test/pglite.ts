import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { postgis } from "@electric-sql/pglite-postgis";

/** Codes of first messages that ask for encryption: TLS, GSSAPI. */
const ENCRYPTION = [80877103, 80877104];

/**
 * A PostgreSQL with PostGIS and pgvector, which Debian 12 has no package of: PostgreSQL's own code in WebAssembly, behind a
 * port. It serves one connection at a time, and takes no requests to cancel.
 */
export async function startPglite(): Promise<{ url: string; close(): Promise<void> }> {
  const database = await PGlite.create({ extensions: { postgis, vector } });
  await database.exec("CREATE EXTENSION postgis");
  const server = createServer((socket) => void serve(database, socket).catch(() => socket.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `postgres://postgres@127.0.0.1:${port}/template1?sslmode=disable`,
    async close() {
      server.close();
      await database.close();
    },
  };
}

/** Passes on whole messages (PostgreSQL's protocol, 55.7): the first has no type before its length. */
async function serve(database: PGlite, socket: Socket): Promise<void> {
  let [held, started] = [Buffer.alloc(0), false];
  for await (const chunk of socket) {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      const typed = started ? 1 : 0;
      if (held.length < typed + 4) break;
      const length = typed + held.readInt32BE(typed);
      if (held.length < length) break;
      const message = held.subarray(0, length);
      held = held.subarray(length);
      if (!started && ENCRYPTION.includes(message.readInt32BE(4))) {
        socket.write("N");
        continue;
      }
      started = true;
      socket.write(await database.execProtocolRaw(message));
    }
  }
}
