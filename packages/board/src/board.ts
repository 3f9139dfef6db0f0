import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { FastifyAdapter } from "@bull-board/fastify";
import helmet from "@fastify/helmet";
import { QUEUE_NAMES } from "@loc2vec/core";
import { choosePassword, guard, isForeign, isLoopback, listen, shared } from "@loc2vec/http";
import type { Queues } from "@loc2vec/queue";
import Fastify, { type FastifyInstance } from "fastify";
import { startMetrics } from "./metrics.ts";

const SERVER = { name: "board", setting: "FARM_BOARD_PASSWORD" };
const HEALTH_MS = 2000;
const METRICS_MS = 5000;
/** For the board's own calls: retrying every failed job of a large data set takes a while. */
const CALL_MS = 60_000;
const REQUESTS_PER_MINUTE = 1200;

export interface StartBoardOptions {
  /** Stay open when the board is closed. */
  queues: Queues;
  /** Address to listen on. Default 127.0.0.1; any but a loopback address needs a password. */
  host?: string;
  /** 0: any free one. */
  port: number;
  /** At least 12 characters, but on a loopback address. */
  password?: string | undefined;
  /** On a loopback address, without a password: the file in which a random one is kept. */
  passwordFile?: string | undefined;
  /** Addresses (or CIDR ranges) of proxies in front, whose X-Forwarded-For is believed when attempts are counted. */
  proxies?: readonly string[];
  /** Given lines for people, never a password. */
  log: (line: string) => void;
}

export interface Board {
  readonly url: string;
  /** Ends it within a second, open connections and all. */
  close(): Promise<void>;
}

/**
 * Serves BullBoard over all queues at `/`, metrics for Prometheus at `/metrics`, and `/healthz`.
 *
 * @throws FarmError `usage` when it would lie open to others; `service` when the port is taken
 */
export async function startBoard(options: StartBoardOptions): Promise<Board> {
  const { queues, host = "127.0.0.1", port, log } = options;
  const password = await choosePassword({ ...options, server: SERVER, host });
  const metrics = await startMetrics(queues);
  const app = Fastify({
    forceCloseConnections: true,
    requestTimeout: 30_000,
    handlerTimeout: CALL_MS,
    trustProxy: options.proxies === undefined ? false : [...options.proxies],
  });
  const close = async (): Promise<void> => {
    await Promise.all([app.close(), metrics.close()]);
  };
  try {
    await protect(app, {
      password,
      local: isLoopback(host),
      isReady: () => queues.connection.status === "ready",
    });
    const ping = shared(() => queues.connection.ping());
    app.get("/healthz", {
      handlerTimeout: HEALTH_MS,
      errorHandler: (_error, _request, reply) => reply.code(503).send({ ok: false }),
      handler: async () => ({ ok: (await ping()) === "PONG" }),
    });
    app.get("/metrics", {
      handlerTimeout: METRICS_MS,
      errorHandler: (_error, _request, reply) => reply.code(503).send(NO_REDIS),
      handler: async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
    });
    const adapter = new FastifyAdapter();
    createBullBoard({
      queues: QUEUE_NAMES.map((name) => new BullMQAdapter(queues[name])),
      serverAdapter: adapter,
      options: { uiConfig: { boardTitle: "loc2vec-farm", hideDocsLink: true } },
    });
    await app.register(adapter.registerPlugin());
    const url = await listen(app, { name: SERVER.name, host, port });
    log(`board: ${url}`);
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The styles in BullBoard's page, a spinner and an icon's colours: `browser.test.ts` sees what a new version changes. */
const INLINE_STYLES = [
  "of39ksKG33VNCYo5/quRg1dhdo2AWSv8WJi2LNKOSTU=",
  "dg51HqBfD6n0yW6arUPC/pQLVghRZbOuP0gPg9FhCTw=",
  "XtkH5bXSf2qTXVOXBZrUBgydsBjBOqKXas4aSqlrDYQ=",
  "4qiUsLv1mhPpLyv14EyMNeEfESFsI8tYHvGHgST5oO4=",
  "z865ZzzyqKnk/u5EJq1ujBhzC4S9g1xzvJyr7y3Ut8s=",
  "dv714QSXJBurriRZTklJT4phtgwCe+o7Frxoi2awcdg=",
  "r2N1TB/gHbBtBZFKg7ejmq1acVSREzucTAEw6ga4hoU=",
].map((hash) => `'sha256-${hash}'`);

const NO_REDIS = { error: "Redis does not answer" };

/** Headers, and what every request must pass before anything else looks at it. */
async function protect(
  app: FastifyInstance,
  { password, local, isReady }: { password: string; local: boolean; isReady: () => boolean },
): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      // BullBoard's page asks for fonts of Google's; it does without, as a farm without a way out must.
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-hashes'", ...INLINE_STYLES],
        imgSrc: ["'self'", "data:"],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        baseUri: ["'self'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    xFrameOptions: { action: "deny" },
    // Whoever puts TLS in front says for how long.
    strictTransportSecurity: false,
  });
  await guard(app, {
    passwords: [password],
    local,
    requestsPerMinute: REQUESTS_PER_MINUTE,
    open: ["/healthz"],
    foreign: ({ method, headers }) =>
      method !== "GET" && method !== "HEAD" && isForeign(headers)
        ? "not from this site; a script sends Sec-Fetch-Site: none"
        : undefined,
    wanted: "the board's password, please",
    refuse: (reply, status, error) => reply.code(status).send({ error }),
  });
  app.addHook("onRequest", async (request, reply) => {
    if (!isReady() && request.routeOptions.url?.startsWith("/api/")) return reply.code(503).send(NO_REDIS);
  });
  // At the end: whoever serves files has a wish of its own.
  app.addHook("onSend", async (_request, reply) => {
    reply.header("cache-control", "no-store");
  });
  app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    // Whatever it says is for nobody.
    reply.code(error.statusCode ?? 500).send({ error: "failed" });
  });
}
