// Takes most of a minute: what stalls is waited for until S3's time limits have passed.

import { createServer } from "node:net";
import { randomOf } from "@loc2vec/core";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from "vitest";
import { type Asked, type FaultProxy, type Reply, s3Error, startProxy } from "../../../test/chaos/proxy.ts";
import { CREDENTIALS, startMoto } from "../../../test/support/moto.ts";
import { freePort } from "../../../test/support/ports.ts";
import { type ObjectStore, openStore } from "../src/index.ts";

declare module "vitest" {
  interface ProvidedContext {
    python: string;
  }
}

let moto: Awaited<ReturnType<typeof startMoto>>;
let proxy: FaultProxy;
let store: ObjectStore;
/** The same objects, past the proxy. */
let direct: ObjectStore;

beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  moto = await startMoto(inject("python"), "tiles");
  proxy = await startProxy(moto.endpoint, randomOf(1));
});
afterAll(async () => {
  await proxy.close();
  moto.stop();
});
beforeEach((context) => {
  proxy.reply = undefined;
  const url = `s3://tiles/${context.task.id}`;
  store = openStore(url, { endpoint: proxy.endpoint, idleMs: 1000 });
  direct = openStore(url, { endpoint: moto.endpoint });
});

const HTML = { "content-type": "text/html" };
const page = (status: number, title: string, headers = HTML): Reply => {
  const body = `<html>\r\n<head><title>${title}</title></head>\r\n<body><hr><img src=x></body>\r\n</html>`;
  return { status, headers, body };
};
const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);

async function keysOf(from: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of from.list(prefix)) keys.push(key);
  return keys;
}

/** Answers so the first requests that fit, and lets the rest through. @returns what was asked */
function script(replies: readonly Reply[], fits: (asked: Asked) => boolean = () => true): Asked[] {
  const asked: Asked[] = [];
  proxy.reply = (request) => {
    if (!fits(request)) return undefined;
    asked.push(request);
    return replies[asked.length - 1];
  };
  return asked;
}
const always = (reply: Reply, fits?: (asked: Asked) => boolean): Asked[] =>
  script(new Array<Reply>(99).fill(reply), fits);
const isConditional = ({ headers }: Asked): boolean => headers["if-none-match"] !== undefined;

describe("what S3 refuses is one line with the server's code and status, exit code 4, and a mend that fits", () => {
  const ONCE = 1;
  const RETRIED = 5;
  test.each<[reply: Reply, what: RegExp, mend: RegExp, requests: number]>([
    [
      s3Error(403, "RequestTimeTooSkewed", "The difference is too large."),
      /clock .*\(RequestTimeTooSkewed 403: The difference is too large\.\)/,
      /NTP/,
      ONCE,
    ],
    [
      s3Error(403, "SignatureDoesNotMatch"),
      /secret key.*\(SignatureDoesNotMatch 403/,
      /AWS_SECRET_ACCESS_KEY/,
      ONCE,
    ],
    [s3Error(403, "InvalidAccessKeyId"), /access key.*\(InvalidAccessKeyId 403/, /AWS_ACCESS_KEY_ID/, ONCE],
    [s3Error(403, "AccessDenied"), /access denied \(AccessDenied 403/, /s3:PutObject|PutObject/, ONCE],
    [s3Error(400, "ExpiredToken"), /expired \(ExpiredToken 400/, /renew/, ONCE],
    [s3Error(400, "InvalidToken"), /session token.*\(InvalidToken 400/, /AWS_SESSION_TOKEN/, ONCE],
    [s3Error(403, "QuotaExceeded", "quota"), /no more room \(QuotaExceeded 403: quota\)/, /quota/, ONCE],
    [s3Error(507, "XMinioStorageFull"), /no more room \(XMinioStorageFull 507/, /free space/, ONCE],
    [s3Error(400, "XMinioAdminBucketQuotaExceeded"), /no more room \(XMinioAdmin/, /quota/, ONCE],
    [s3Error(404, "NoSuchBucket"), /no such bucket \(NoSuchBucket 404/, /FARM_STORE/, ONCE],
    [s3Error(400, "InvalidBucketName"), /bucket's name.*\(InvalidBucketName 400/, /FARM_STORE/, ONCE],
    [s3Error(400, "KeyTooLongError"), /too long \(KeyTooLongError 400/, /prefix/, ONCE],
    [s3Error(400, "EntityTooLarge"), /too large.*\(EntityTooLarge 400/, /--shard-locations/, ONCE],
    [s3Error(403, "InvalidObjectState"), /archive \(InvalidObjectState 403/, /restore/, ONCE],
    [s3Error(405, "MethodNotAllowed"), /\(MethodNotAllowed 405/, /object lock/, ONCE],
    [
      s3Error(400, "KMS.DisabledException"),
      /encryption key.*\(KMS\.DisabledException 400/,
      /kms:GenerateDataKey/,
      ONCE,
    ],
    [s3Error(400, "BadDigest"), /\(BadDigest 400/, /proxy/, ONCE],
    [s3Error(400, "Brandnew", "of\nthe server"), /refuses \(Brandnew 400: of the server\)/, /manual/, ONCE],
    [
      s3Error(301, "PermanentRedirect", "m", { "x-amz-bucket-region": "eu-west-1" }),
      /another region \(PermanentRedirect 301/,
      /AWS_REGION=eu-west-1/,
      ONCE,
    ],
    [s3Error(307, "TemporaryRedirect"), /another region \(TemporaryRedirect 307/, /AWS_REGION/, ONCE],
    [
      s3Error(400, "AuthorizationHeaderMalformed", "the region 'a' is wrong; expecting 'eu-north-1'"),
      /another region/,
      /AWS_REGION=eu-north-1/,
      ONCE,
    ],
    [s3Error(503, "SlowDown"), /overloaded \(SlowDown 503/, /fewer workers/, RETRIED],
    [s3Error(500, "InternalError"), /failed \(InternalError 500/, /log/, RETRIED],
    [{ status: 503 }, /overloaded \(503\)/, /wait/, RETRIED],
    [{ status: 400 }, /refuses \(400\)/, /log/, ONCE],
    [
      page(413, "413 Request Entity Too Large"),
      /too large for it \(413: 413 Request Entity Too Large\)/,
      /client_max_body_size/,
      ONCE,
    ],
    [page(502, "502 Bad Gateway"), /not S3.*\(502: 502 Bad Gateway\)/, /proxy/, RETRIED],
    [page(403, "403 Forbidden"), /not S3.*\(403: 403 Forbidden\)/, /proxy/, ONCE],
    [page(200, "Sign in"), /not S3.*\(200: text\/html in answer to PutObject/, /login page/, ONCE],
    [page(200, "Sign in", { ...HTML, etag: '"page"' } as typeof HTML), /not S3/, /login page/, ONCE],
    [
      { status: 200, headers: { "content-type": "application/json" }, body: "{}" },
      /not S3/,
      /login page/,
      ONCE,
    ],
    [
      { status: 302, headers: { location: "https://user:hush@login.example/?token=hush" } },
      /elsewhere \(302: https:\/\/\*\*\*@login\.example\/\)/,
      /FARM_S3_ENDPOINT/,
      ONCE,
    ],
    [
      { status: 308, headers: { location: "https://s3.example/tiles/a" } },
      /elsewhere \(308: https:\/\/s3\.example/,
      /https:\/\//,
      ONCE,
    ],
    [
      { status: 400, body: "Client sent an HTTP request to an HTTPS server.\n" },
      /speaks TLS \(400: Client sent/,
      /https:\/\//,
      ONCE,
    ],
    [
      { status: 404, headers: { "content-type": "application/json" }, body: '{"detail":"Not Found"}' },
      /not S3.*\(404/,
      /FARM_S3_ENDPOINT/,
      ONCE,
    ],
  ])("%j", async (reply, what, mend, requests) => {
    const asked = always(reply);
    const error = await store.put("a/b", bytes).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: "FarmError", kind: "service", exitCode: 4 });
    expect(error.message).toMatch(/^cannot write a\/b in S3 bucket tiles at http:\/\/127\.0\.0\.1:\d+: /);
    expect(error.message).toMatch(what);
    expect(error.mend).toMatch(mend);
    expect(error.line).not.toMatch(/\n|hush|Deserialization/);
    expect(asked).toHaveLength(requests);
  });

  test.each<[verb: string, ask: (store: ObjectStore) => Promise<unknown>]>([
    ["get", (it) => it.get("a")],
    ["getRange", (it) => it.getRange("a", { offset: 0, length: 5 })],
    ["head", (it) => it.head("a")],
    ["remove", (it) => it.remove("a")],
    ["put if absent", (it) => it.put("a", bytes, { ifAbsent: true })],
    ["list", (it) => keysOf(it, "a")],
  ])("%s: a refusal keeps its code, and a login page is never taken for an object", async (_, ask) => {
    always(s3Error(403, "InvalidAccessKeyId", "unknown key"));
    await expect(ask(store)).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/\(InvalidAccessKeyId 403: unknown key\)/),
    });
    always(page(200, "Sign in"));
    await expect(ask(store)).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/not S3/),
    });
  });

  test("no answer of HTTP, of TLS, of DNS, and nobody there", async () => {
    const babble = createServer((socket) => socket.end("220 mail.example ESMTP\r\n"));
    const port = await freePort();
    await new Promise<void>((resolve) => babble.listen(port, "127.0.0.1", resolve));
    onTestFinished(() => void babble.close());
    for (const [endpoint, what, mend] of [
      [`http://127.0.0.1:${port}`, /does not speak HTTP/, /names an S3 server/],
      [proxy.endpoint.replace("http:", "https:"), /does not speak TLS/, /https:\/\/ against http:\/\//],
      ["http://no-such-host.invalid", /not known to DNS/, /FARM_S3_ENDPOINT/],
      [`http://127.0.0.1:${await freePort()}`, /cannot be reached: nobody listens there/, /start it/],
    ] as const) {
      await expect(openStore("s3://tiles", { endpoint }).get("a")).rejects.toMatchObject({
        kind: "service",
        message: expect.stringMatching(what),
        mend: expect.stringMatching(mend),
      });
    }
  });

  test("no credentials", async () => {
    const unset = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] as const;
    const nowhere = { AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" };
    onTestFinished(() => {
      for (const name of [...Object.keys(nowhere), "AWS_EC2_METADATA_DISABLED"]) delete process.env[name];
      Object.assign(process.env, CREDENTIALS);
    });
    for (const name of unset) delete process.env[name];
    Object.assign(process.env, nowhere, { AWS_EC2_METADATA_DISABLED: "true" });
    await expect(openStore("s3://tiles", { endpoint: moto.endpoint }).get("a")).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/no credentials found/),
      mend: expect.stringMatching(/AWS_ACCESS_KEY_ID/),
    });
  });
});

test("a clock that is an hour off is corrected by the server's own, and the request made again", async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  const asked = script([s3Error(403, "RequestTimeTooSkewed", "m", { date })]);
  expect(await store.put("a", bytes)).toBe(true);
  expect(asked).toHaveLength(2);
});

describe("a condition on writing", () => {
  test("412 after our own answer was lost: it is ours when the bytes are; another's is not", async () => {
    const lost: Reply = { status: 200, done: true, ends: { how: "cut" } };
    const asked = script([lost], isConditional);
    expect(await store.put("mine", bytes, { ifAbsent: true })).toBe(true);
    expect(asked).toHaveLength(2);
    expect(await direct.get("mine")).toEqual(bytes);

    // Others were faster, after we had looked.
    const late = (first: Reply | undefined): Asked[] => {
      const asked: Asked[] = [];
      proxy.reply = (request) => {
        if (request.method === "HEAD") return { status: 404 };
        if (isConditional(request)) asked.push(request);
        return isConditional(request) && asked.length === 1 ? first : undefined;
      };
      return asked;
    };
    await direct.put("theirs", Uint8Array.of(1));
    const again = late(s3Error(500, "InternalError"));
    expect(await store.put("theirs", bytes, { ifAbsent: true })).toBe(false);
    expect(again).toHaveLength(2);
    // Equal bytes of others are no reason to believe that we were first.
    const once = late(undefined);
    expect(await store.put("theirs", Uint8Array.of(1), { ifAbsent: true })).toBe(false);
    expect(once).toHaveLength(1);
    expect(await direct.get("theirs")).toEqual(Uint8Array.of(1));
  });

  test("409 is asked again until it is decided, and an error when it never is", async () => {
    const asked = script(new Array(3).fill(s3Error(409, "ConditionalRequestConflict")), isConditional);
    expect(await store.put("a", bytes, { ifAbsent: true })).toBe(true);
    expect(asked).toHaveLength(4);
    always(s3Error(409, "ConditionalRequestConflict"), isConditional);
    await expect(store.put("b", bytes, { ifAbsent: true })).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/\(ConditionalRequestConflict 409/),
    });
    expect(await direct.head("b")).toBeUndefined();
  });

  test.each<[number, string]>([
    [501, "NotImplemented"],
    [400, "InvalidArgument"],
  ])("a server that answers it with %i %s: looked up, then written without", async (status, code) => {
    const asked = always(s3Error(status, code), isConditional);
    expect(await store.put("a", bytes, { ifAbsent: true })).toBe(true);
    expect(await direct.get("a")).toEqual(bytes);
    expect(await store.put("a", Uint8Array.of(1), { ifAbsent: true })).toBe(false);
    expect(await store.put("b", bytes, { ifAbsent: true })).toBe(true);
    expect(asked).toHaveLength(1); // it is not asked again
    expect(await direct.get("a")).toEqual(bytes);
  });

  test("a server that ignores it does not get to replace an object", async () => {
    await direct.put("a", bytes);
    const ignoring = script([{ status: 200, headers: { etag: '"x"' }, done: true }], isConditional);
    expect(await store.put("a", Uint8Array.of(1), { ifAbsent: true })).toBe(false);
    expect(ignoring).toEqual([]);
    expect(await direct.get("a")).toEqual(bytes);
  });
});

describe("what stalls or breaks off is begun again", () => {
  const body = (how: "stall" | "cut", after: number): Reply => ({
    status: 200,
    headers: { etag: '"x"' },
    body: bytes,
    ends: { how, after },
  });

  test.each<[string, Reply]>([
    ["silence after the headers", body("stall", 0)],
    ["silence half way", body("stall", 500)],
    ["silence before the last byte", body("stall", 999)],
    ["a connection that breaks half way", body("cut", 500)],
    [
      "fewer bytes than were announced",
      {
        status: 200,
        headers: { etag: '"x"', connection: "close", "content-length": "1500" },
        body: bytes,
        ends: { how: "cut", after: 1000 },
      },
    ],
  ])("a download: %s", async (_, reply) => {
    await direct.put("a", bytes);
    const asked = script([reply, reply]);
    expect(await store.get("a")).toEqual(bytes);
    expect(asked).toHaveLength(3);
    always(reply);
    await expect(store.get("a")).rejects.toMatchObject({
      kind: "service",
      mend: expect.stringMatching(/network/),
    });
  });

  test("an upload that nobody reads, an answer that never comes, a list that stops", async () => {
    const silent: Reply = { status: 200, ends: { how: "stall" } };
    await direct.put("a", bytes);
    for (const [ask, value] of [
      [() => store.put("b", new Uint8Array(1 << 23)), true],
      [() => store.head("a"), { size: 1000 }],
      [() => keysOf(store, "a"), ["a"]],
      [() => store.remove("c"), undefined],
    ] as const) {
      const asked = script([silent]);
      expect(await ask()).toEqual(value);
      expect(asked).toHaveLength(2);
    }
    proxy.reply = undefined;
    proxy.fault = { kind: "stall", probability: 1 };
    onTestFinished(() => {
      proxy.fault = undefined;
    });
    await expect(store.put("d", new Uint8Array(1 << 23))).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/does not answer \(.*1000 ms/),
    });
  });

  test("a server that accepts connections and says nothing, of TLS neither", async () => {
    const mute = createServer((socket) => void socket.on("error", () => {}));
    const port = await freePort();
    await new Promise<void>((resolve) => mute.listen(port, "127.0.0.1", resolve));
    onTestFinished(() => void mute.close());
    await Promise.all(
      ["http", "https"].map((scheme) =>
        expect(
          openStore("s3://tiles", { endpoint: `${scheme}://127.0.0.1:${port}`, idleMs: 1000 }).get("a"),
        ).rejects.toMatchObject({ kind: "service", message: expect.stringMatching(/does not answer/) }),
      ),
    );
  });

  test("slow is not silent: bytes that trickle for longer than the limit all arrive", async () => {
    const trickle = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", async () => {
        socket.write('HTTP/1.1 200 OK\r\netag: "x"\r\ncontent-length: 8\r\n\r\n');
        for (let i = 0; i < 8; i++) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          socket.write(Uint8Array.of(i));
        }
      });
    });
    const port = await freePort();
    await new Promise<void>((resolve) => trickle.listen(port, "127.0.0.1", resolve));
    onTestFinished(() => void trickle.close());
    const slow = openStore("s3://tiles", { endpoint: `http://127.0.0.1:${port}`, idleMs: 1000 });
    expect(await slow.get("a")).toEqual(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7));
  });
});

test("a range that is ignored, or widened, still gives the bytes that were asked for", async () => {
  const whole: Reply = { status: 200, headers: { etag: '"x"' }, body: bytes };
  always(whole);
  expect(await store.getRange("a", { offset: 10, length: 3 })).toEqual(Uint8Array.of(10, 11, 12));
  expect(await store.getRange("a", { offset: 998, length: 30 })).toEqual(bytes.slice(998));
  expect(await store.getRange("a", { offset: 2000, length: 3 })).toEqual(new Uint8Array());
  expect(await store.getRange("a", { suffix: 2 })).toEqual(bytes.slice(998));
  expect(await store.getRange("a", { suffix: 5000 })).toEqual(bytes);
  const wider = { etag: '"x"', "content-range": "bytes 8-19/1000" };
  always({ status: 206, headers: wider, body: bytes.slice(8, 20) });
  expect(await store.getRange("a", { offset: 10, length: 3 })).toEqual(Uint8Array.of(10, 11, 12));
  await expect(store.getRange("a", { offset: 3, length: 3 })).rejects.toMatchObject({ kind: "service" });
});

test("HEAD that is refused while GET is allowed: sizes, and absence", async () => {
  await direct.put("a", bytes);
  await direct.put("empty", new Uint8Array());
  for (const status of [403, 405]) {
    always({ status }, ({ method }) => method === "HEAD");
    expect(await store.head("a")).toEqual({ size: 1000 });
    expect(await store.head("empty")).toEqual({ size: 0 });
    expect(await store.head("none")).toBeUndefined();
    expect(await store.getRange("none", { offset: 0, length: 0 })).toBeUndefined();
  }
});

test("a list that says there is more and not where, or goes in circles, is an error and no short list", async () => {
  const list = (token: string): Reply => ({
    status: 200,
    headers: { "content-type": "application/xml" },
    body: `<ListBucketResult><Name>tiles</Name><IsTruncated>true</IsTruncated>${token}<Contents><Key>k</Key></Contents></ListBucketResult>`,
  });
  for (const token of ["", "<NextContinuationToken>same</NextContinuationToken>"]) {
    always(list(token));
    await expect(keysOf(store, "")).rejects.toMatchObject({
      kind: "service",
      message: expect.stringMatching(/does not go on/),
    });
  }
  always({ status: 200, headers: { "content-type": "application/xml" }, body: "<html/>" });
  await expect(keysOf(store, "")).rejects.toMatchObject({ kind: "service" });
});
