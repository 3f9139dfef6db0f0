import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { Random } from "@loc2vec/core";

/**
 * What the way to S3 does to a request: `error` answers 500 or 503 and does nothing; `slow` waits a second or two;
 * `cut` breaks the connection, before the request or after it was done, or half way through the answer; `full`
 * refuses to store, as a server whose disk is full; `down` accepts nobody.
 */
export type S3Fault = "error" | "slow" | "cut" | "full" | "down";

export interface FaultProxy {
  readonly endpoint: string;
  /** Each request suffers from the fault with this probability. Undefined: from none. */
  fault: { kind: S3Fault; probability: number } | undefined;
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
  const state: { fault: FaultProxy["fault"]; suffered: number } = { fault: undefined, suffered: 0 };

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
    const body = await bodyOf(incoming);
    const { fault } = state;
    const kind = fault !== undefined && random.uniform() < fault.probability ? fault.kind : undefined;
    if (kind !== undefined) state.suffered++;
    const draw = random.uniform();
    if (kind === "down" || (kind === "cut" && draw < 0.3)) return void incoming.socket.destroy();
    if (kind === "error")
      return refuse(outgoing, draw < 0.5 ? 500 : 503, draw < 0.5 ? "InternalError" : "SlowDown");
    if (kind === "full" && incoming.method === "PUT") return refuse(outgoing, 507, "XMinioStorageFull");
    if (kind === "slow") await new Promise((resolve) => setTimeout(resolve, 500 + 1500 * draw));
    const answer = await forward(incoming, body);
    const key = decodeURIComponent(new URL(incoming.url ?? "/", target).pathname);
    if (incoming.method === "PUT" && answer.head.statusCode === 200) {
      const digest = createHash("sha256").update(body).digest("hex");
      stored.set(key, [...(stored.get(key) ?? []), digest]);
    }
    if (kind === "cut" && draw < 0.6) return void incoming.socket.destroy();
    outgoing.writeHead(answer.head.statusCode ?? 502, answer.head.rawHeaders as unknown as string[]);
    if (kind === "cut" && answer.body.length > 1) {
      outgoing.write(answer.body.subarray(0, answer.body.length >> 1), () => incoming.socket.destroy());
    } else outgoing.end(answer.body);
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

function refuse(outgoing: ServerResponse, status: number, code: string): void {
  outgoing.writeHead(status, { "content-type": "application/xml" });
  outgoing.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>chaos</Message></Error>`);
}
