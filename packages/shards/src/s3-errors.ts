import { errorMessage, redact } from "@loc2vec/core";

/** What an S3 server answered, as far as the SDK's errors and ours have it in common. */
interface Answer {
  name?: string;
  code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number; attempts?: number };
  $response?: { headers?: Readonly<Record<string, string>> };
}

const answerOf = (error: unknown): Answer => (error ?? {}) as Answer;

export const statusOf = (error: unknown): number | undefined => answerOf(error).$metadata?.httpStatusCode;
/** How often a request was made that failed in the end. */
export const attemptsOf = (error: unknown): number => answerOf(error).$metadata?.attempts ?? 1;

/** An answer of something between us and S3, or in its place: a proxy, a login page, a web server. */
export class ForeignAnswer extends Error {
  override readonly name = "ForeignAnswer";
  /** As the SDK looks at it to decide whether time may mend it. */
  readonly $metadata: { httpStatusCode: number };
  readonly $retryable: { throttling: boolean } | undefined;
  /** Where it sends us, when it does. */
  readonly location: string | undefined;

  constructor(status: number, title: string, location?: string) {
    super(title);
    this.$metadata = { httpStatusCode: status };
    if (status === 408) this.$retryable = { throttling: false };
    this.location = location;
  }
}

/** An answer as it came. */
export interface HttpAnswer {
  statusCode: number;
  headers: Readonly<Record<string, string>>;
  body?: unknown;
}

/**
 * Looks at an answer before the SDK does, which takes any page for an object, and calls anything else than XML a fault of
 * its own.
 *
 * @param operation the SDK's name of the command
 * @throws ForeignAnswer
 */
export async function refuseForeign(operation: string, answer: HttpAnswer): Promise<void> {
  const { statusCode: status, headers } = answer;
  const known = Object.keys(headers).some((name) => /^x-(?:amz|goog|minio|rgw)/.test(name));
  const type = headers["content-type"] ?? "no type";
  if (status < 300) {
    const object = /^(?:Get|Head|Put)Object/.test(operation);
    if (known || !(/^text\/html/i.test(type) || (object && headers.etag === undefined))) return;
    throw new ForeignAnswer(status, `${type} in answer to ${operation}`);
  }
  if (operation.startsWith("Head")) {
    // Without a body it cannot tell what it is, but redirects are not S3's without the bucket's region.
    if (status < 400 && !known && headers.location !== undefined)
      throw new ForeignAnswer(status, "a redirect", headers.location);
    return;
  }
  const bytes = await collect(answer.body);
  const text = new TextDecoder().decode(bytes);
  answer.body = bytes;
  if (bytes.length === 0 && status >= 400) return;
  if (/<Code>[^<]+<\/Code>/.test(text)) return;
  const title = /<title[^>]*>([^<]*)/i.exec(text)?.[1] ?? text.replace(/<[^>]*>/g, " ");
  throw new ForeignAnswer(status, oneLine(title), headers.location);
}

/** The beginning of a body is enough to tell what it is. */
const LONGEST_ANSWER = 1 << 16;

async function collect(body: unknown): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > LONGEST_ANSWER) break;
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

const CHECK_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
const CLOCK = ["this machine's clock differs from the server's", "set it by NTP, here or there"] as const;
const BUCKET = ["there is no such bucket", "create it, or correct FARM_STORE"] as const;
const EXPIRED = [
  "the credentials have expired",
  "renew them (AWS_SESSION_TOKEN goes with its keys)",
] as const;
const REGION = ["the bucket is in another region", "set AWS_REGION to the bucket's region"] as const;
const QUOTA = ["there is no more room", "free space there, or raise the quota"] as const;
const BUSY = ["the server is overloaded", "wait, or let fewer workers run; jobs are tried again"] as const;
const FAULT = ["the server has failed", "look at its log; jobs are tried again"] as const;
const TOO_LARGE = [
  "the object is too large for it",
  "raise the limit of the proxy before it (nginx: client_max_body_size), or enqueue with fewer --shard-locations",
] as const;
const READ_ONLY = [
  "it does not allow that",
  "allow GET, PUT and DELETE there: a website endpoint, a read-only proxy and object lock refuse them",
] as const;
const ARCHIVED = [
  "the object lies in an archive",
  "restore it, and except FARM_STORE's prefix from lifecycle rules that archive",
] as const;
const CONFLICT = ["others write it at the same time", "try again; jobs do"] as const;
const ACCESS = [
  "access denied",
  "grant s3:GetObject, PutObject, DeleteObject and ListBucket to these credentials",
] as const;
const KMS = [
  "the bucket's encryption key cannot be used",
  "enable the KMS key, and grant kms:Decrypt and kms:GenerateDataKey to these credentials",
] as const;
const CHANGED = [
  "the bytes were changed on the way",
  "look for a proxy that rewrites them; jobs are tried again",
] as const;
const UNKNOWN_FEATURE = ["the server lacks what is needed", "use an S3 server that is up to date"] as const;
const LOGIN = ["credentials are refused", CHECK_CREDENTIALS] as const;

type Meaning = readonly [what: string, mend: string];

/** By the code in the server's answer, or the name of the SDK's error. */
const CODES: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: BUCKET,
  InvalidBucketName: ["that is not a bucket's name there", "correct FARM_STORE"],
  KeyTooLongError: ["the key is too long", "shorten the prefix in FARM_STORE"],
  InvalidAccessKeyId: ["the access key is not known there", CHECK_CREDENTIALS],
  SignatureDoesNotMatch: [
    "the signature does not fit: the secret key is wrong, or a proxy changes what was signed",
    "check AWS_SECRET_ACCESS_KEY, and that proxies keep the Host header and the path",
  ],
  InvalidToken: ["the session token is wrong", CHECK_CREDENTIALS],
  ExpiredToken: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  ExpiredTokenException: EXPIRED,
  AccessDenied: ACCESS,
  AllAccessDisabled: ACCESS,
  AccountProblem: ["the account is closed to requests", "see to the account and its bills"],
  CredentialsProviderError: ["no credentials found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"],
  RequestTimeTooSkewed: CLOCK,
  RequestExpired: CLOCK,
  RequestInTheFuture: CLOCK,
  PermanentRedirect: REGION,
  TemporaryRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  QuotaExceeded: QUOTA,
  XMinioAdminBucketQuotaExceeded: QUOTA,
  XMinioStorageFull: QUOTA,
  InsufficientStorage: QUOTA,
  InsufficientCapacity: QUOTA,
  EntityTooLarge: TOO_LARGE,
  MaxMessageLengthExceeded: TOO_LARGE,
  SlowDown: BUSY,
  SlowDownRead: BUSY,
  SlowDownWrite: BUSY,
  TooManyRequests: BUSY,
  RequestLimitExceeded: BUSY,
  ServiceUnavailable: BUSY,
  Busy: BUSY,
  InternalError: FAULT,
  RequestTimeout: ["the upload stalled", "check the network; jobs are tried again"],
  InvalidObjectState: ARCHIVED,
  MethodNotAllowed: READ_ONLY,
  ObjectLocked: READ_ONLY,
  ConditionalRequestConflict: CONFLICT,
  OperationAborted: CONFLICT,
  PreconditionFailed: CONFLICT,
  BadDigest: CHANGED,
  XAmzContentSHA256Mismatch: CHANGED,
  NotImplemented: UNKNOWN_FEATURE,
};

/** By the status of the answer, where its code is not known. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  401: LOGIN,
  403: ["access denied", CHECK_CREDENTIALS],
  404: ["it is not there", "correct FARM_STORE and FARM_S3_ENDPOINT"],
  405: READ_ONLY,
  409: CONFLICT,
  412: CONFLICT,
  413: TOO_LARGE,
  429: BUSY,
  500: FAULT,
  501: UNKNOWN_FEATURE,
  503: BUSY,
  507: QUOTA,
};

/** By the code of Node's error. */
const NETWORK: readonly (readonly [code: RegExp, what: string, mend: string])[] = [
  [/^(?:ENOTFOUND|EAI_)/, "its name is not known to DNS", "correct FARM_S3_ENDPOINT or AWS_REGION"],
  [
    /^ECONNREFUSED$/,
    "the endpoint cannot be reached: nobody listens there",
    "start it, or correct FARM_S3_ENDPOINT",
  ],
  [
    /CERT|SIGNED|ISSUER|VERIFY_LEAF/,
    "its certificate is not trusted",
    "let NODE_EXTRA_CA_CERTS name its authority's certificate, or mend the certificate",
  ],
  [
    /^(?:EPROTO|ERR_SSL)/,
    "it does not speak TLS as we do",
    "check https:// against http:// in FARM_S3_ENDPOINT",
  ],
  [
    /^HPE_/,
    "it does not speak HTTP",
    "check that FARM_S3_ENDPOINT names an S3 server, and http:// against https://",
  ],
  [/^(?:ECONNRESET|EPIPE)$/, "the connection breaks off", "check the network and the server's log"],
];

/** What went wrong, with the server's own words, in one line, and how to mend it. */
export function explain(error: unknown): Meaning {
  const { name = "", code: errno = "", $response } = answerOf(error);
  const message = oneLine(errorMessage(error).split(/\s+Deserialization error:/, 1)[0] ?? "");
  const status = statusOf(error);
  if (error instanceof ForeignAnswer) return explainForeign(error, message);
  if (/^Region is missing/.test(message)) return ["no region is set", "set AWS_REGION"];
  if (status === undefined && CODES[name] === undefined) {
    const [, what, mend] = NETWORK.find(([pattern]) => pattern.test(errno)) ?? [
      undefined,
      name === "TimeoutError" ? "it does not answer" : "the endpoint cannot be reached",
      "check FARM_S3_ENDPOINT, AWS_REGION and the network",
    ];
    return [`${what} (${message})`, mend];
  }
  const code = name === "" || /^(?:Unknown|UnknownError|NotFound|\d+|Error)$/.test(name) ? "" : name;
  const said = [[code, status].filter(Boolean).join(" "), /^Unknown(?:Error)?$/.test(message) ? "" : message];
  const words = said.filter((each) => each !== "").join(": ");
  const [what, mend] = CODES[code] ??
    (/^KMS/.test(code) ? KMS : undefined) ??
    STATUSES[status ?? 0] ?? ["it refuses", "look that code up in the server's manual, and at its log"];
  const region = $response?.headers?.["x-amz-bucket-region"] ?? /expecting '([\w-]+)'/.exec(message)?.[1];
  return [`${what} (${words})`, mend === REGION[1] && region ? `set AWS_REGION=${region}` : mend];
}

function explainForeign(error: ForeignAnswer, title: string): Meaning {
  const { $metadata, location } = error;
  const status = $metadata.httpStatusCode;
  if (location !== undefined) {
    const target = redact(location.replace(/[?#].*$/, ""));
    return [
      `it sends us elsewhere (${status}: ${oneLine(target)})`,
      "let FARM_S3_ENDPOINT name the S3 server itself (http:// against https://; no login page before it)",
    ];
  }
  const said = `${status}${title === "" ? "" : `: ${title}`}`;
  const [what, mend] = /HTTPS/.test(title)
    ? (["it speaks TLS", "write https:// in FARM_S3_ENDPOINT"] as const)
    : status === 413
      ? TOO_LARGE
      : ([
          "not S3, but something in its place answers",
          "see to the proxy, login page or web server that FARM_S3_ENDPOINT leads to",
        ] as const);
  return [`${what} (${said})`, mend];
}
