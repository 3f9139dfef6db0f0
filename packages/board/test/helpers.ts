import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import { QUEUE_NAMES } from "@loc2vec/core";
import { openQueues, type Queues } from "@loc2vec/queue";
import { Worker } from "bullmq";
import { expect, inject, onTestFinished } from "vitest";
import { type Board, type StartBoardOptions, startBoard } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

export const PASSWORD = "correct-horse:battery";

/** Identity of an object store. */
export const STORE = "0123456789abcdef";

/** Queues of the test's own. */
export async function freshQueues(): Promise<Queues> {
  const queues = await openQueues({
    redisUrl: inject("redisUrl"),
    prefix: `test-${randomUUID()}`,
    retryDelayMs: 10,
  });
  onTestFinished(async () => {
    for (const name of QUEUE_NAMES) await queues[name].obliterate({ force: true });
    await queues.close();
  });
  return queues;
}

/** A board that a test asks, and what it logged. */
export async function freshBoard(
  options: Partial<StartBoardOptions> = {},
): Promise<Board & { queues: Queues; lines: string[] }> {
  const queues = options.queues ?? (await freshQueues());
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  const board = await startBoard({ port: 0, password: PASSWORD, log, ...options, queues });
  onTestFinished(() => board.close());
  return { ...board, queues, lines };
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** Asks over a connection of its own; unlike `fetch` with any header. */
export async function ask(
  url: string,
  {
    method = "GET",
    headers = {},
    as,
  }: { method?: string; headers?: Record<string, string>; as?: string } = {},
): Promise<Answer> {
  const authorization = as === undefined ? {} : { authorization: `Bearer ${as}` };
  const outgoing = request(url, { method, headers: { ...authorization, ...headers }, agent: false }).end();
  const [response] = await once(outgoing, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

/** A real worker, closed after the test. */
export function work(
  { connection, prefix }: Queues,
  queue: string,
  action: ConstructorParameters<typeof Worker>[1],
): Worker {
  const worker = new Worker(queue, action, { connection, prefix });
  onTestFinished(() => worker.close());
  return worker;
}

/** The values of all metrics, by name with labels. */
export async function metricsOf(board: Board): Promise<Map<string, number>> {
  const { status, text } = await ask(`${board.url}/metrics`, { as: PASSWORD });
  expect(status, text).toBe(200);
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}
