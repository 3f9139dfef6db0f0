import { setImmediate } from "node:timers/promises";
import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { hostName, isLoopback, samePassword, shownPassword } from "./access.ts";

const WRONG_PASSWORDS_PER_MINUTE = 10;

export interface GateOptions {
  /** Any of them lets in. */
  passwords: readonly string[];
  /** Whether the server listens on a loopback address: then it answers to this machine's names alone. */
  local: boolean;
  /** From one address. */
  requestsPerMinute: number;
  /** Routes that want no password. */
  open: readonly string[];
  /** Why a request that shows whence it comes is refused; undefined where it is not. */
  foreign: (request: FastifyRequest) => string | undefined;
  /** What a request without a right password is told. */
  wanted: string;
  /** Sends a refusal, in the server's own form. */
  refuse: (reply: FastifyReply, status: number, message: string) => FastifyReply;
}

/**
 * What every request must pass before anything else looks at it: a limit of requests, names of this machine, a password.
 * After ten wrong ones in a minute from one address, none from there is looked at until the minute is over.
 */
export async function guard(app: FastifyInstance, options: GateOptions): Promise<void> {
  const { passwords, local, requestsPerMinute, open, foreign, wanted, refuse } = options;
  await app.register(rateLimit, { global: false, timeWindow: 60_000 });
  const requests = app.createRateLimit({ max: requestsPerMinute });
  const wrongPasswords = app.createRateLimit({ max: WRONG_PASSWORDS_PER_MINUTE });
  app.addHook("onRequest", async (request, reply) => {
    const { headers } = request;
    const all = await requests(request);
    if (!all.isAllowed && all.isExceeded)
      return refuse(reply.header("retry-after", all.ttlInSeconds), 429, "too many requests");
    // A page whose name was made to point to this machine is of the same origin as the server to a browser.
    if (local && !isLoopback(hostName(headers.host))) return refuse(reply, 421, "ask for localhost");
    const reason = foreign(request);
    if (reason !== undefined) return refuse(reply, 403, reason);
    if (open.includes(request.routeOptions.url ?? "")) return;
    const shown = shownPassword(headers.authorization);
    // All are compared, so that the time does not tell which one is right.
    const right =
      shown !== undefined && passwords.map((password) => samePassword(shown, password)).includes(true);
    // Requests that came at once, on one connection, are counted before the answer to any of them.
    if (right) await setImmediate();
    const wrong = await wrongPasswords(request, { increment: shown !== undefined && !right });
    const tooMany = right
      ? "remaining" in wrong && wrong.remaining === 0
      : "isExceeded" in wrong && wrong.isExceeded;
    if (tooMany) return refuse(reply.header("retry-after", 60), 429, "too many wrong passwords");
    if (!right) {
      reply.header("www-authenticate", 'Basic realm="loc2vec-farm", charset="UTF-8"');
      return refuse(reply, 401, wanted);
    }
  });
}
