import { createHash } from "node:crypto";
import { composeRgb } from "@loc2vec/atlas";
import { encodeTensors, PAGE_POLICY, type PageFile, pageFile } from "@loc2vec/explorer";
import type { Profile } from "@loc2vec/gis";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { createLru } from "./map-pictures.ts";
import { badInput, checkLocation, deadlineOf, RefusedError } from "./refusals.ts";
import * as schemas from "./schemas.ts";
import type { Served } from "./served.ts";

const { refusal } = schemas;
const REFUSALS = { 400: refusal, 401: refusal, 421: refusal, 429: refusal, 500: refusal, 503: refusal };
/** Sheets of sprites that are kept, bytes. */
const KEPT_BYTES = 64 * 2 ** 20;

/** The explorer's page at `/`, and what it asks for: points, sprites, arrangements, what lies at a spot. */
export function addExplorer(
  instance: FastifyInstance,
  served: Served,
  { profile, requestMs }: { profile: Profile; requestMs: number },
): void {
  addPage(instance);
  addPoints(instance, served);
  const app = instance.withTypeProvider<ZodTypeProvider>();
  app.get(
    "/v1/explorer/look",
    {
      schema: {
        summary: "What the model sees of a spot or a location, and what it makes of it",
        description:
          "Tensors `tile` u8 [channel, y, x], `rgb` u8 [y, x, 3] for human eyes, `vector` f32 [size]",
        querystring: schemas.lookQuery,
        response: { 200: schemas.tensorsAnswer, ...REFUSALS, 404: refusal, 422: refusal },
      },
    },
    async ({ query: { location, lon, lat } }, reply) => {
      if (location !== undefined) checkLocation(location, served.facts.n, "location");
      else if (lon === undefined || lat === undefined)
        throw badInput(lon === undefined ? "lon" : "lat", "missing", "give lon and lat, or location");
      const place = location !== undefined ? { location } : { lon: lon as number, lat: lat as number };
      const { tile, vector } = await served.look(place, "lon, lat", deadlineOf(reply, requestMs));
      const picture = composeRgb(tile, profile);
      const { width, height } = picture;
      return tensors(reply, {
        tile: { shape: [profile.channels.length, height, width], data: tile },
        rgb: { shape: [height, width, 3], data: picture.data },
        vector: { shape: [vector.length], data: vector },
      });
    },
  );
}

function tensors(reply: FastifyReply, columns: Parameters<typeof encodeTensors>[0]["columns"]): FastifyReply {
  const bytes = encodeTensors({ about: "", columns });
  return reply.type("application/octet-stream").send(Buffer.from(bytes.buffer));
}

/** Sends bytes, or that they are those which the browser has. */
function sendKept(
  request: FastifyRequest,
  reply: FastifyReply,
  type: string,
  { bytes, etag }: { bytes: Buffer; etag: string },
): FastifyReply {
  reply.header("etag", etag).header("cache-control", "private, no-cache");
  if (request.headers["if-none-match"] === etag) return reply.code(304).send();
  return reply.type(type).send(bytes);
}

const withEtag = (bytes: Buffer) => ({
  bytes,
  etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
});

function addPage(instance: FastifyInstance): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const files = new Map<PageFile, Promise<{ type: string; bytes: Buffer; etag: string }>>();
  const send = async (
    request: FastifyRequest,
    reply: FastifyReply,
    name: PageFile,
  ): Promise<FastifyReply> => {
    const opening =
      files.get(name) ?? pageFile(name).then(({ type, bytes }) => ({ type, ...withEtag(bytes) }));
    files.set(name, opening);
    const { type, ...kept } = await opening;
    return sendKept(request, reply.header("content-security-policy", PAGE_POLICY), type, kept);
  };
  app.get("/", { schema: { hide: true } }, (request, reply) => send(request, reply, "index.html"));
  app.get("/explorer/:file", { schema: { hide: true, params: schemas.pageParams } }, (request, reply) =>
    send(request, reply, request.params.file),
  );
}

function addPoints(instance: FastifyInstance, { exploration }: Served): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  let points: ReturnType<typeof withEtag> | undefined;
  app.get(
    "/v1/explorer/points",
    {
      schema: {
        summary: "All points with their vectors, or a sample of them",
        description:
          "Tensors `row`, `lon`, `lat`, `kind`, `label`, `region`, `vector`, `pca`; with a sample, `density`",
        response: { 200: schemas.tensorsAnswer, ...REFUSALS },
      },
    },
    async (request, reply) => {
      points ??= withEtag(Buffer.from(exploration.encode().buffer));
      return sendKept(request, reply, "application/octet-stream", points);
    },
  );
  app.get(
    "/v1/explorer/arrangements/:method",
    {
      schema: {
        summary: "Three dimensions of all points; while they are computed, how far that is",
        description: "Tensor `positions` f32 [n, 3]",
        params: schemas.methodParams,
        response: { 200: schemas.tensorsAnswer, 202: schemas.arrangingAnswer, ...REFUSALS },
      },
    },
    async ({ params: { method } }, reply) => {
      const found = exploration.arrange(method);
      if (!(found instanceof Float32Array)) return reply.code(202).send(found);
      return tensors(reply, { positions: { shape: [found.length / 3, 3], data: found } });
    },
  );
  const sheets = createLru<ReturnType<typeof withEtag>>(KEPT_BYTES, ({ bytes }) => bytes.length);
  app.get(
    "/v1/explorer/sheets/:sheet.webp",
    {
      schema: {
        summary: "Small pictures of 256 points, one below another",
        params: schemas.sheetParams,
        response: { 200: schemas.webpAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async (request, reply) => {
      const { sheet } = request.params;
      if (sheet >= exploration.sheets)
        throw new RefusedError(404, {
          code: "sheet-missing",
          message: `there is no sheet ${sheet}`,
          mend: `name one of 0 to ${exploration.sheets - 1}`,
        });
      const kept = sheets.get(`${sheet}`) ?? withEtag(await exploration.sheet(sheet));
      sheets.set(`${sheet}`, kept);
      return sendKept(request, reply, "image/webp", kept);
    },
  );
}
