import { type Box, errorMessage, FarmError } from "@loc2vec/core";
import type { FastifyReply } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import type { z } from "zod";
import { BODY_BYTES, MOST_PLACES, RETRY_S } from "./limits.ts";
import type { Refusal } from "./schemas.ts";

/** What is answered instead of what was asked for. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly status: number;
  readonly refusal: Refusal;

  constructor(status: number, refusal: Refusal) {
    super(refusal.message);
    this.status = status;
    this.refusal = refusal;
  }
}

/** @throws RefusedError 404 for a location that the data set does not have */
export function checkLocation(location: number, locations: number, field: string): number {
  if (location < locations) return location;
  throw new RefusedError(404, {
    code: "location-missing",
    message: `${field}: there is no location ${location}`,
    mend: `name one of 0 to ${locations - 1}`,
    field,
  });
}

/** A spot that the map does not reach. */
export function beyondMap(field: string, { lon, lat }: { lon: number; lat: number }, map: string, box: Box) {
  return new RefusedError(422, {
    code: "beyond-map",
    message: `${field}: lon ${lon}, lat ${lat} lies beyond the map ${map}`,
    mend: "ask for a spot within the box, or import a larger map",
    field,
    box: [...box],
  });
}

/** A probe that was not saved. */
export function probeMissing(name: string, model: string): RefusedError {
  return new RefusedError(404, {
    code: "probe-missing",
    message: `name: there is no probe ${name}`,
    mend: `pnpm farm:probe --model ${model} --save ${name}`,
    field: "name",
  });
}

/** A probe that learned from vectors of another model than is served. */
export function probeOfOthers(name: string, model: string, served: string): RefusedError {
  return new RefusedError(409, {
    code: "probe-mismatch",
    message: `probe ${name} takes vectors of model ${model} by other weights than those that are served`,
    mend: `pnpm farm:probe --model ${served} --save ${name}`,
    field: "name",
  });
}

export function badInput(field: string, message: string, mend: string): RefusedError {
  return new RefusedError(400, { code: "bad-input", message: `${field}: ${message}`, mend, field });
}

/** For now; it may be asked again. */
export function overloaded(message: string): RefusedError {
  return new RefusedError(503, { code: "overloaded", message, mend: `ask again in ${RETRY_S} s` });
}

/** What is wrong with a part of a request, by zod's issues. @param part `body`, `querystring` or `params` */
function ofIssue(part: string, issue: z.core.$ZodIssue): RefusedError {
  const deepest = deepestOf(issue);
  const field = deepest.path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    "",
  );
  return badInput(field === "" ? part : field, deepest.message, "see /docs for what is taken");
}

/** Of alternatives, what speaks against the one that comes closest: that with the fewest faults, the farthest inside. */
function deepestOf(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string } {
  const { path, message } = issue;
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return { path: [...path], message };
  const fewest = Math.min(...issue.errors.map((branch) => branch.length));
  const inner = issue.errors
    .filter((branch) => branch.length === fewest)
    .flatMap(([first]) => (first === undefined ? [] : [deepestOf(first)]));
  const deepest = inner.sort((a, b) => b.path.length - a.path.length)[0];
  if (deepest === undefined || deepest.path.length === 0) {
    const what = inner.map((each) => each.message).join("; or ");
    return { path: [...path], message: what === "" ? message : what };
  }
  return { path: [...path, ...deepest.path], message: deepest.message };
}

const TOO_LATE: Refusal = {
  code: "timeout",
  message: "it took too long",
  mend: "ask for fewer places at a time, or later",
};

/**
 * Given when a request has taken so long, or when the one who asked is gone. Fastify's own signal and time limit do not do:
 * both end as soon as a body was read.
 */
export function deadlineOf(reply: FastifyReply, ms: number): AbortSignal {
  const end = new AbortController();
  const stop = (): void => end.abort(new RefusedError(503, TOO_LATE));
  const timer = setTimeout(stop, ms);
  reply.raw.once("close", () => {
    clearTimeout(timer);
    stop();
  });
  return end.signal;
}

/** Fastify's own refusals. */
const OF_FASTIFY: Readonly<Record<string, Refusal>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: "too-large",
    message: `the body is larger than ${BODY_BYTES} bytes`,
    mend: `send at most ${MOST_PLACES} places at a time`,
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: "not-json",
    message: "the body is no JSON",
    mend: "send it with Content-Type: application/json",
  },
  FST_ERR_HANDLER_TIMEOUT: TOO_LATE,
};

/** Any error as what is answered; what is not meant for the one who asks is logged alone. */
export function refusedBy(error: unknown, log: (line: string) => void): RefusedError {
  if (error instanceof RefusedError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const { validation, validationContext = "request" } = error as typeof error & {
      validationContext?: string;
    };
    return ofIssue(validationContext, issueOf(validation[0] as unknown as StoredIssue));
  }
  if (error instanceof FarmError) return ofFarm(error, log);
  const { code = "", statusCode = 500 } = error as { code?: string; statusCode?: number };
  const known = OF_FASTIFY[code];
  if (known !== undefined) return new RefusedError(statusCode, known);
  if (statusCode >= 400 && statusCode < 500)
    return new RefusedError(statusCode, {
      code: "bad-request",
      message: errorMessage(error),
      mend: "see /docs for what is taken",
    });
  log(`failed: ${errorMessage(error)}`);
  return new RefusedError(500, { code: "internal", message: "failed", mend: "see the server's log" });
}

function ofFarm(error: FarmError, log: (line: string) => void): RefusedError {
  const { code, kind, message, mend } = error;
  // Another map, or none, in place of the data set's: it can be put right without a new start.
  if (kind === "service" || code === "map-missing" || code === "map-mismatch") {
    log(`waiting: ${error.line}`);
    return new RefusedError(503, { code, message, mend });
  }
  if (kind === "input" || kind === "usage") return new RefusedError(400, { code, message, mend });
  log(`failed: ${error.line}`);
  return new RefusedError(500, { code, message, mend });
}

/** As fastify-type-provider-zod keeps an issue of zod's. */
interface StoredIssue {
  keyword: string;
  message: string;
  params: Record<string, unknown>;
  instancePath: string;
}

function issueOf({ keyword, message, params, instancePath }: StoredIssue): z.core.$ZodIssue {
  const path = instancePath
    .split("/")
    .slice(1)
    .filter((key) => key !== "")
    .map((key) => (/^\d+$/.test(key) ? Number(key) : key));
  return { ...params, code: keyword, message, path } as unknown as z.core.$ZodIssue;
}

export function send(reply: FastifyReply, { status, refusal }: RefusedError): FastifyReply {
  if (status === 503) reply.header("retry-after", RETRY_S);
  // Whatever the answer should have been.
  return reply.code(status).type("application/json").serializer(JSON.stringify).send({ error: refusal });
}
