import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Random } from "@loc2vec/core";

/**
 * What the way to S3 does to a request: `error` answers 500 or 503 and does nothing; `slow` waits a second or two;
 * `cut` breaks the connection, before the request or after it was done, or half way through the answer; `full`
 * refuses to store, as a server whose disk is full; `down` accepts nobody; `stall` keeps the connection and is silent for
 * ever: before it takes the request, after it was done, or half way through the answer.
 */
export type S3Fault = "error" | "slow" | "cut" | "full" | "down" | "stall";

/** A request as the proxy sees it. */
export interface Asked {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingMessage["headers"];
}

/** What is answered in place of the server. */
export interface Reply {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  /** Whether the server does the request all the same, and only its answer is lost. */
  done?: boolean;
  /** After how many bytes of the body the connection falls silent (`stall`) or breaks (`cut`); undefined: before the headers. */
  ends?: { how: "stall" | "cut"; after?: number };
}

/** S3's own form of an error. */
export function s3Error(status: number, code: string, message = code, headers = {}): Reply {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, headers: { "content-type": "application/xml", ...headers }, body };
}

export interface FaultProxy {
  readonly endpoint: string;
  /** Each request suffers from the fault with this probability. Undefined: from none. */
  fault: { kind: S3Fault; probability: number } | undefined;
  /** Asked for each request, before faults: what is answered in place of the server; undefined: nothing is. */
  reply: ((asked: Asked) => Reply | undefined) | undefined;
  /** Requests that suffered so far. */
  readonly suffered: number;
  /** The SHA-256 of every body that was stored under a key, in order of arrival. */
  readonly stored: ReadonlyMap<string, readonly string[]>;
  close(): Promise<void>;
}

/** A proxy before an S3 server. */
export async function startProxy(target: string, random: Random): Promise<FaultProxy> {
  const stored = new Map<string, string[]>();
  const { hostname, port } = new URL(target);
  const state: { fault: FaultProxy["fault"]; reply: FaultProxy["reply"]; suffered: number } = {
    fault: undefined,
    reply: undefined,
    suffered: 0,
  };

  const forward = (
    incoming: IncomingMessage,
    body: Buffer,
  ): Promise<{ head: IncomingMessage; body: Buffer }> =>
    new Promise((resolve, reject) => {
      const { method, url, headers } = incoming;
      const outgoing = request({ hostname, port, method, path: url, headers }, async (head) => {
        try {
          resolve({ head, body: await bodyOf(head) });
        } catch (error) {
          reject(error);
        }
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });

  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const { method = "", url: path = "", headers } = incoming;
    const reply = state.reply?.({ method, path, headers });
    const { fault } = state;
    const kind =
      reply === undefined && fault !== undefined && random.uniform() < fault.probability
        ? fault.kind
        : undefined;
    if (kind !== undefined || reply !== undefined) state.suffered++;
    const draw = random.uniform();
    // The body of an upload is not even read.
    if (kind === "stall" && draw < 0.3) return;
    const body = await bodyOf(incoming);
    if (reply !== undefined) {
      if (reply.done) await forward(incoming, body);
      return send(outgoing, reply, method);
    }
    if (kind === "down" || (kind === "cut" && draw < 0.3)) return void incoming.socket.destroy();
    if (kind === "error")
      return send(outgoing, draw < 0.5 ? s3Error(500, "InternalError") : s3Error(503, "SlowDown"), method);
    if (kind === "full" && method === "PUT") return send(outgoing, s3Error(507, "XMinioStorageFull"), method);
    if (kind === "slow") await new Promise((resolve) => setTimeout(resolve, 500 + 1500 * draw));
    const answer = await forward(incoming, body);
    const key = decodeURIComponent(new URL(path, target).pathname);
    if (method === "PUT" && answer.head.statusCode === 200) {
      const digest = createHash("sha256").update(body).digest("hex");
      stored.set(key, [...(stored.get(key) ?? []), digest]);
    }
    if (kind === "cut" && draw < 0.6) return void incoming.socket.destroy();
    if (kind === "stall" && (draw < 0.6 || answer.body.length < 2)) return;
    outgoing.writeHead(answer.head.statusCode ?? 502, answer.head.rawHeaders as unknown as string[]);
    if ((kind === "cut" || kind === "stall") && answer.body.length > 1)
      partOf(outgoing, answer.body, kind, answer.body.length >> 1);
    else outgoing.end(answer.body);
  };
  const server = createServer((incoming, outgoing) => {
    incoming.on("error", () => {});
    outgoing.on("error", () => {});
    handle(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
    get reply() {
      return state.reply;
    },
    set reply(reply) {
      state.reply = reply;
    },
    get suffered() {
      return state.suffered;
    },
    stored,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(outgoing: ServerResponse, { status, headers, body = "", ends }: Reply, method: string): void {
  if (ends !== undefined && ends.after === undefined) {
    if (ends.how === "cut") outgoing.socket?.destroy();
    return;
  }
  const bytes = Buffer.from(body);
  outgoing.writeHead(status, { "content-length": bytes.length, ...headers });
  if (method === "HEAD") outgoing.end();
  else if (ends === undefined) outgoing.end(bytes);
  else partOf(outgoing, bytes, ends.how, ends.after);
}

/** Begins an answer and leaves it at that. */
function partOf(outgoing: ServerResponse, body: Buffer, how: "stall" | "cut", after = 0): void {
  outgoing.flushHeaders();
  outgoing.write(body.subarray(0, after), () => {
    if (how === "cut") outgoing.socket?.destroy();
  });
}
