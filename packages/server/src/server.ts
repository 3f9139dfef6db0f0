import helmet from "@fastify/helmet";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import { errorMessage, onceAMinute } from "@loc2vec/core";
import { choosePassword, guard, isForeign, isLoopback, listen, shared } from "@loc2vec/http";
import Fastify, { type FastifyInstance } from "fastify";
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from "fastify-type-provider-zod";
import { addExplorer } from "./explorer-routes.ts";
import { BODY_BYTES, REQUEST_MS } from "./limits.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { RefusedError, refusedBy, send } from "./refusals.ts";
import { addRoutes } from "./routes.ts";
import { healthAnswer, refusal, textAnswer } from "./schemas.ts";
import { openServed, type Served, type ServedOptions } from "./served.ts";

const SERVER = { name: "API", setting: "FARM_SERVE_TOKENS" };
const HEALTH_MS = 2000;
const SWEEP_MS = 100;
/** Methods that a path may be asked by. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

export interface StartServerOptions extends ServedOptions {
  /** Address to listen on. Default 127.0.0.1; any but a loopback address needs tokens. */
  host?: string;
  /** 0: any free one. */
  port: number;
  /** With commas between, each of at least 12 characters; each lets in. */
  tokens?: string | undefined;
  /** On a loopback address, without tokens: the file in which a random one is kept. */
  tokenFile?: string | undefined;
  /** From one address. Default 6,000. */
  requestsPerMinute?: number;
  /** What a request may take, milliseconds. Default 30,000. */
  requestMs?: number;
  /** Addresses (or CIDR ranges) of proxies in front, whose X-Forwarded-For is believed when requests are counted. */
  proxies?: readonly string[];
}

export interface Server {
  readonly url: string;
  /** Takes nothing more, lets requests that are under way end, and closes what was opened. */
  close(): Promise<void>;
}

/**
 * Serves a data set's embeddings by a model, and vectors of any spot of its map: `/v1/…`, with `/docs`, `/openapi.json`,
 * `/healthz` and `/metrics`; at `/` the explorer.
 *
 * @throws FarmError `usage` when it would lie open to others; `service` when the port is taken; what {@link openServed} throws
 */
export async function startServer(options: StartServerOptions): Promise<Server> {
  const { host = "127.0.0.1", port, tokens, tokenFile, log } = options;
  const chosen = (tokens ?? "").split(",").filter((token) => token !== "");
  const passwords = await Promise.all(
    (chosen.length === 0 ? [undefined] : chosen).map((password) =>
      choosePassword({ server: SERVER, host, password, passwordFile: tokenFile, log }),
    ),
  );
  const metrics = createMetrics();
  const served = await openServed(options, metrics);
  const app = createApp(options);
  const close = async (): Promise<void> => {
    // A connection whose last request was under way is idle only when that has been answered.
    const sweep = setInterval(() => app.server.closeIdleConnections(), SWEEP_MS);
    await app.close().finally(() => clearInterval(sweep));
    await served.close();
  };
  try {
    await protect(app, passwords, isLoopback(host), options.requestsPerMinute ?? 6000);
    await describe(app);
    // Once what describes them is there.
    await app.register(async (api) => {
      const urls = new Set<string>();
      api.addHook("onRoute", ({ url }) => void urls.add(url));
      addOperations(api, served, metrics);
      const settings = { profile: options.profile, requestMs: options.requestMs ?? REQUEST_MS };
      addRoutes(api, served, settings);
      addExplorer(api, served, settings);
      refuseOtherMethods(api, [...urls]);
    });
    const url = await listen(app, { name: SERVER.name, host, port });
    log(`serve: ${url}`);
    return { url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** An application with validation, errors and counting, but without routes. */
function createApp({ proxies, log, requestMs = REQUEST_MS }: StartServerOptions): FastifyInstance {
  const tell = onceAMinute((line) => log(`serve: ${line}`));
  const app = Fastify({
    forceCloseConnections: "idle",
    requestTimeout: requestMs,
    handlerTimeout: requestMs,
    bodyLimit: BODY_BYTES,
    trustProxy: proxies === undefined ? false : [...proxies],
    frameworkErrors: (error, _request, reply) => {
      send(reply, refusedBy(error, tell));
    },
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // JSON alone: what a page of another site can send without asking is text.
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler((error, _request, reply) => send(reply, refusedBy(error, tell)));
  app.setNotFoundHandler((_request, reply) =>
    send(
      reply,
      new RefusedError(404, { code: "not-found", message: "there is nothing here", mend: "see /docs" }),
    ),
  );
  // What stands in a URL is text; a schema says what are numbers.
  app.addHook("preValidation", async (request) => {
    for (const part of ["query", "params"] as const)
      request[part] = withNumbers(request[part] as Record<string, unknown>);
  });
  return app;
}

/** Text that is a number in JSON becomes one. */
function withNumbers(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "string" && /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(value) ? Number(value) : value,
    ]),
  );
}

/** Headers, and what every request must pass. */
async function protect(
  app: FastifyInstance,
  passwords: readonly string[],
  local: boolean,
  requestsPerMinute: number,
): Promise<void> {
  await app.register(helmet, {
    // Swagger's page has a policy of its own.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    xFrameOptions: { action: "deny" },
    // Whoever puts TLS in front says for how long.
    strictTransportSecurity: false,
  });
  await guard(app, {
    passwords,
    local,
    requestsPerMinute,
    open: ["/healthz"],
    // A program says nothing of where it comes from; a browser does, and reads no answer of another site's.
    foreign: ({ headers }) =>
      (headers["sec-fetch-site"] !== undefined || headers.origin !== undefined) && isForeign(headers)
        ? "not from another site's page"
        : undefined,
    wanted: "a token, please: Authorization: Bearer …",
    refuse: (reply, status, message) =>
      send(reply, new RefusedError(status, { code: CODES[status] ?? "refused", message, mend: "" })),
  });
}

const CODES: Readonly<Record<number, string>> = {
  401: "unauthorized",
  403: "foreign",
  421: "misdirected",
  429: "too-many",
};

/** The OpenAPI text, and a page of it. */
async function describe(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "loc2vec-farm",
        version: "1",
        description: "Location embeddings: vectors of spots of a map, and what can be done with them",
      },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
  });
  await app.register(swaggerUi, { routePrefix: "/docs", staticCSP: true });
}

/** Who asks a path by another method than it has is told which there are. */
function refuseOtherMethods(app: FastifyInstance, urls: readonly string[]): void {
  for (const url of urls) {
    const allowed = METHODS.filter((method) => app.hasRoute({ method, url }));
    app.route({
      url,
      method: METHODS.filter((method) => !allowed.includes(method)),
      schema: { hide: true },
      handler: (request, reply) => {
        const [there, message] = [allowed.join(", "), `${request.method} is not taken here`];
        return send(
          reply.header("allow", there),
          new RefusedError(405, { code: "method-not-allowed", message, mend: `use ${there}` }),
        );
      },
    });
  }
}

/** Health, metrics and the OpenAPI text. */
function addOperations(instance: FastifyInstance, served: Served, metrics: Metrics): void {
  instance.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    metrics.answered(route, request.method, reply.statusCode, reply.elapsedTime);
  });
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const check = shared(() => served.checkMap());
  app.get(
    "/healthz",
    {
      handlerTimeout: HEALTH_MS,
      schema: {
        summary: "Whether the map can be read now",
        security: [],
        response: { 200: healthAnswer, 503: healthAnswer },
      },
      errorHandler: (error, _request, reply) =>
        reply.code(503).send({ ok: false, reason: errorMessage(error) }),
    },
    async () => {
      await check();
      return { ok: true };
    },
  );
  app.get(
    "/metrics",
    { schema: { summary: "For Prometheus", response: { 200: textAnswer, 401: refusal, 429: refusal } } },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  app.get("/openapi.json", { schema: { hide: true } }, async (_request, reply) =>
    reply.type("application/json").serializer(JSON.stringify).send(instance.swagger()),
  );
}
