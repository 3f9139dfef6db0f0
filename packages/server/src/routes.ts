import { composeRgb, encodePng } from "@loc2vec/atlas";
import { distanceM, Purpose, randomOf } from "@loc2vec/core";
import { FILE_FORMATS } from "@loc2vec/exports";
import type { Profile } from "@loc2vec/gis";
import { analogy, metresBetween, type Neighbour, type Term, walk } from "@loc2vec/space";
import type { FastifyInstance } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { MOST_ROWS } from "./limits.ts";
import { badInput, checkLocation, deadlineOf } from "./refusals.ts";
import * as schemas from "./schemas.ts";
import type { Served } from "./served.ts";

const { refusal } = schemas;
/** What any route may answer instead. */
const REFUSALS = { 400: refusal, 401: refusal, 421: refusal, 429: refusal, 500: refusal, 503: refusal };
const POST_REFUSALS = { ...REFUSALS, 403: refusal, 413: refusal, 415: refusal };

/** The routes of the API over what is served. */
export function addRoutes(
  instance: FastifyInstance,
  served: Served,
  { profile, requestMs }: { profile: Profile; requestMs: number },
): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const { facts } = served;
  app.get(
    "/v1/model",
    { schema: { summary: "What is served", response: { 200: schemas.modelAnswer, ...REFUSALS } } },
    async () => ({
      ...facts,
      map: { ...facts.map, box: [...facts.map.box] },
    }),
  );
  app.post(
    "/v1/embed",
    {
      schema: {
        summary: "Vectors of spots of the map",
        description: "Each is drawn as the data set's locations were, and embedded by the model",
        body: schemas.embedBody,
        response: { 200: schemas.embedAnswer, ...POST_REFUSALS, 422: refusal },
      },
    },
    async ({ body }, reply) => {
      const [spots, fields] = spotsOf(body);
      const vectors = await served.embed(spots, fields, deadlineOf(reply, requestMs));
      return { model: facts.model, step: facts.step, vectors: vectors.map((vector) => Array.from(vector)) };
    },
  );
  addVenuesRoute(instance, served, requestMs);
  addPredictRoute(instance, served, requestMs);
  addNeighboursRoute(instance, served, requestMs);
  addSpaceRoutes(instance, served, requestMs);
  addLocationRoutes(instance, served, profile);
  addExportRoute(instance, served);
  app.get(
    "/v1/tile/:z/:x/:y.png",
    {
      schema: {
        summary: "A tile of the map as the model sees it, for human eyes: Web Mercator, 256 pixels",
        params: schemas.tileParams,
        response: { 200: schemas.pngAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async ({ params: { z, x, y }, headers }, reply) => {
      const { png, etag } = await served.pictures.tile(z, x, y);
      reply.header("etag", etag).header("cache-control", "private, max-age=3600");
      const known = headers["if-none-match"]?.split(",").map((each) => each.trim().replace(/^W\//, ""));
      if (known?.includes(etag)) return reply.code(304).send();
      return reply.type("image/png").send(png);
    },
  );
}

/** What saved probes say of spots. */
function addPredictRoute(instance: FastifyInstance, served: Served, requestMs: number): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  app.post(
    "/v1/predict/:name",
    {
      schema: {
        summary: "What a saved probe says of spots of the map",
        description:
          "Each is drawn and embedded as for /v1/embed; what farm:probe --save learned tells its class or number",
        params: schemas.predictParams,
        body: schemas.embedBody,
        response: {
          200: schemas.predictAnswer,
          ...POST_REFUSALS,
          ...{ 404: refusal, 409: refusal, 422: refusal },
        },
      },
    },
    async ({ params: { name }, body }, reply) => {
      const [spots, fields] = spotsOf(body);
      const { probe, predictions } = await served.predict(name, spots, fields, deadlineOf(reply, requestMs));
      const { meaning, model, labels, score } = probe;
      const { name: of, mean, low, high } = score;
      return { probe: name, meaning, model, labels, score: { name: of, mean, low, high }, predictions };
    },
  );
}

/** The spots of a body, and what each is called in it. */
function spotsOf(body: schemas.EmbedBody): [schemas.Spot[], string[]] {
  return "places" in body ? [body.places, body.places.map((_, i) => `places[${i}]`)] : [[body], ["lon, lat"]];
}

/** How rows are told, and where they lie. */
function viewOf({ places, label }: Served) {
  const placeOf = (row: number): schemas.Spot => ({
    lon: places.lon[row] as number,
    lat: places.lat[row] as number,
  });
  const located = (row: number) => {
    const text = label(row);
    return { location: row, ...placeOf(row), ...(text === undefined ? {} : { label: text }) };
  };
  return {
    placeOf,
    located,
    told: ({ row, distance }: Neighbour) => ({ ...located(row), distance }),
    /** Leaves out what lies no farther than so many metres from any of some spots. */
    apartFrom: (spots: readonly schemas.Spot[], metres: number) =>
      metres > 0 && spots.length > 0
        ? { allowed: (row: number) => spots.every((spot) => distanceM(placeOf(row), spot) > metres) }
        : {},
  };
}

/** Which venue a fix comes from. */
function addVenuesRoute(instance: FastifyInstance, served: Served, requestMs: number): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  app.post(
    "/v1/venues",
    {
      schema: {
        summary: "The venues that a noisy fix may come from, the likeliest first",
        description: "Likelihood of the distance × prior of the venue's class at this place",
        body: schemas.venuesBody,
        response: { 200: schemas.venuesAnswer, ...POST_REFUSALS, 422: refusal },
      },
    },
    async ({ body: { accuracy_m: sigmaM, top, ...fix } }, reply) => {
      const ranked = await served.venues({ ...fix, sigmaM }, deadlineOf(reply, requestMs));
      return { prior: served.prior, candidates: ranked.length, venues: ranked.slice(0, top) };
    },
  );
}

/** What is near to a spot or a location. */
function addNeighboursRoute(instance: FastifyInstance, served: Served, requestMs: number): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const { facts, neighbours, places } = served;
  const { placeOf, told, apartFrom } = viewOf(served);
  app.get(
    "/v1/neighbours",
    {
      schema: {
        summary: "Locations whose vectors are nearest to that of a spot, or of a location",
        querystring: schemas.neighboursQuery,
        response: { 200: schemas.neighboursAnswer, ...REFUSALS, 404: refusal, 422: refusal },
      },
    },
    async ({ query }, reply) => {
      const { lon, lat, location, k, min_distance_m: minDistanceM } = query;
      if (location !== undefined) {
        if (lon !== undefined || lat !== undefined)
          throw badInput("location", "given beside lon or lat", "give a spot or a location, not both");
        checkLocation(location, facts.n, "location");
        const count = Math.min(k, facts.n - 1);
        const near = count > 0 ? neighbours.nearest(location, count, { minDistanceM }) : [];
        return {
          neighbours: near.map((each) => ({
            ...told(each),
            metres: metresBetween(places, location, each.row),
          })),
        };
      }
      if (lon === undefined || lat === undefined)
        throw badInput(lon === undefined ? "lon" : "lat", "missing", "give lon and lat, or location");
      const spot = { lon, lat };
      const [vector] = await served.embed([spot], ["lon, lat"], deadlineOf(reply, requestMs));
      const near = neighbours.nearest(vector as Float32Array, Math.min(k, facts.n), {
        minDistanceM,
        ...apartFrom([spot], minDistanceM),
      });
      return {
        neighbours: near.map((each) => ({ ...told(each), metres: distanceM(spot, placeOf(each.row)) })),
      };
    },
  );
}

/** What goes on from what is near. */
function addSpaceRoutes(instance: FastifyInstance, served: Served, requestMs: number): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const { facts, neighbours } = served;
  const { told, apartFrom } = viewOf(served);
  app.post(
    "/v1/arithmetic",
    {
      schema: {
        summary: "What is to c as a is to b: the locations nearest to a − b + c",
        body: schemas.arithmeticBody,
        response: { 200: schemas.arithmeticAnswer, ...POST_REFUSALS, 404: refusal, 422: refusal },
      },
    },
    async ({ body }, reply) => {
      const { k, min_distance_m: minDistanceM } = body;
      const asked = (["a", "b", "c"] as const).map((field) => [field, body[field]] as const);
      const spots = asked.flatMap(([field, place]) => ("location" in place ? [] : [{ field, place }]));
      const vectors = await served.embed(
        spots.map(({ place }) => place),
        spots.map(({ field }) => field),
        deadlineOf(reply, requestMs),
      );
      const [a, b, c] = asked.map(([field, place]): Term => {
        if ("location" in place) return checkLocation(place.location, facts.n, `${field}.location`);
        return vectors[spots.findIndex((spot) => spot.field === field)] as Float32Array;
      }) as [Term, Term, Term];
      const near = analogy(neighbours, { a, b, c }, Math.min(k, facts.n), {
        minDistanceM,
        ...apartFrom(
          spots.map(({ place }) => place),
          minDistanceM,
        ),
      });
      return { nearest: near.map(told) };
    },
  );
  app.get(
    "/v1/walk",
    {
      schema: {
        summary: "Jumps from a location to a random one of its nearest, never to the same twice",
        querystring: schemas.walkQuery,
        response: { 200: schemas.walkAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async ({ query }) => {
      const { location, jumps, among, min_distance_m: minDistanceM, seed } = query;
      checkLocation(location, facts.n, "location");
      const random = randomOf(seed, Purpose.walk);
      const way =
        facts.n === 1
          ? walk(neighbours, location, 0, { random })
          : walk(neighbours, location, jumps, { random, among: Math.min(among, facts.n - 1), minDistanceM });
      return { walk: way.map((jump) => ({ ...told(jump), metres: jump.metres ?? 0 })) };
    },
  );
}

/** What shows a location. */
function addLocationRoutes(instance: FastifyInstance, served: Served, profile: Profile): void {
  const app = instance.withTypeProvider<ZodTypeProvider>();
  const { facts } = served;
  const { located } = viewOf(served);
  app.get(
    "/v1/locations/:location",
    {
      schema: {
        summary: "A location and its vector",
        params: schemas.locationParams,
        response: { 200: schemas.locationAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async ({ params: { location } }) => {
      checkLocation(location, facts.n, "location");
      return {
        ...located(location),
        kind: served.kind(location),
        vector: Array.from(served.neighbours.vector(location)),
      };
    },
  );
  app.get(
    "/v1/locations/:location/tile.png",
    {
      schema: {
        summary: "What the model sees of a location, for human eyes",
        params: schemas.locationParams,
        response: { 200: schemas.pngAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async ({ params: { location } }, reply) => {
      checkLocation(location, facts.n, "location");
      return reply.type("image/png").send(await encodePng(composeRgb(await served.tile(location), profile)));
    },
  );
}

/** Some locations as a file. */
function addExportRoute(instance: FastifyInstance, served: Served): void {
  const { facts } = served;
  instance.withTypeProvider<ZodTypeProvider>().get(
    "/v1/export",
    {
      schema: {
        summary: "Some locations with their vectors, as a file: each once, in ascending order",
        querystring: schemas.exportQuery,
        response: { 200: schemas.fileAnswer, ...REFUSALS, 404: refusal },
      },
    },
    async ({ query: { format, locations } }, reply) => {
      const asked = String(locations).split(",").map(Number);
      if (asked.length > MOST_ROWS)
        throw badInput(
          "locations",
          `${asked.length} of them`,
          `ask for ${MOST_ROWS} at most, or pnpm farm:export`,
        );
      for (const location of asked) checkLocation(location, facts.n, "locations");
      const { mediaType, extension, encode } = FILE_FORMATS[format];
      const chunks: Uint8Array[] = [];
      for await (const chunk of encode(served.tableOf(Int32Array.from(new Set(asked)).sort())))
        chunks.push(chunk);
      const name = `${facts.model}-${facts.dataset}.${extension}`;
      return reply
        .type(mediaType)
        .header("content-disposition", `attachment; filename="${name}"`)
        .send(Buffer.concat(chunks));
    },
  );
}
