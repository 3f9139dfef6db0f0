import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { FarmError } from "./errors.ts";
import { redact } from "./secrets.ts";
import { endpointProblem, homeProblem, type Problem, readStoreUrl, resolvePath, urlProblem } from "./urls.ts";

/** What text says against a setting, before its schema is asked. */
type Check = (text: string, root: string) => Problem | undefined;

const server =
  (...schemes: readonly string[]): Check =>
  (text) =>
    urlProblem(text, schemes);

const store: Check = (text, root) => {
  const place = readStoreUrl(text, root);
  return "what" in place ? place : undefined;
};

const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** Every setting, the environment variable it is read from, and what it means. The one place to add a setting. */
const SETTINGS = {
  home: {
    env: "FARM_HOME",
    schema: z.string(),
    check: homeProblem,
    help: "folder of the local services, caches and atlases",
  },
  redisUrl: {
    env: "FARM_REDIS_URL",
    schema: z.string().optional(),
    check: server("redis", "rediss"),
    help: "Redis of the queues; unset: a private one under FARM_HOME",
  },
  databaseUrl: {
    env: "FARM_DATABASE_URL",
    schema: z.string().optional(),
    check: server("postgres", "postgresql"),
    help: "PostgreSQL with PostGIS; unset: a private one under FARM_HOME",
  },
  store: {
    env: "FARM_STORE",
    schema: z.string(),
    check: store,
    help: "object store of data sets and models: file:///folder or s3://bucket/prefix",
  },
  s3Endpoint: {
    env: "FARM_S3_ENDPOINT",
    schema: z.string().optional(),
    check: endpointProblem,
    help: "S3 endpoint other than AWS; credentials and region come from the AWS SDK's usual variables",
  },
  redisPort: { env: "FARM_REDIS_PORT", schema: integer(1, 65535), help: "port of the private Redis" },
  databasePort: {
    env: "FARM_DATABASE_PORT",
    schema: integer(1, 65535),
    help: "port of the private PostgreSQL",
  },
  queuePrefix: {
    env: "FARM_QUEUE_PREFIX",
    schema: z.string().regex(/^[\w-]+$/),
    help: "prefix of BullMQ's Redis keys",
  },
  workers: {
    env: "FARM_WORKERS",
    schema: integer(1, 1024),
    help: "shards one worker process renders at a time",
  },
  tensorflow: {
    env: "FARM_TENSORFLOW",
    schema: z.enum(["cpu", "gpu", "official"]),
    help: "which TensorFlow to bind: cpu (PyPI's tensorflow-cpu), gpu (its tensorflow with CUDA 12, for tfjs-node-gpu), official (tfjs-node's own)",
  },
  renderer: {
    env: "FARM_RENDERER",
    schema: z.enum(["fast", "exact"]),
    help: "fast: tiles cut from one fine picture per location; exact: each tile drawn for itself, Mapnik throughout",
  },
  outside: {
    env: "FARM_OUTSIDE",
    schema: z.enum(["error", "empty"]),
    help: "locations beyond the imported map: error refuses a list of nothing else and sets the others aside, empty gives tiles of zeros",
  },
  boardPassword: {
    env: "FARM_BOARD_PASSWORD",
    schema: z.string().min(12, "must be 12 characters or longer").optional(),
    help: "password of the board and its metrics; unset: one made under FARM_HOME, and loopback only",
    secret: true,
  },
  serveTokens: {
    env: "FARM_SERVE_TOKENS",
    schema: z
      .string()
      .regex(
        /^[\w.~+/=-]{12,}(,[\w.~+/=-]{12,})*$/,
        "must be tokens of 12 letters, digits or ._~+/=- or more",
      )
      .optional(),
    help: "tokens that the API of farm serve takes, with commas between; unset: one made under FARM_HOME, and loopback only",
    secret: true,
  },
  style: { env: "FARM_STYLE", schema: z.string().min(1), help: "the channel profile (YAML)" },
} as const satisfies Record<string, Setting>;

interface Setting {
  env: string;
  schema: z.ZodType;
  /** Asked before the schema. */
  check?: Check;
  help: string;
  /** Never shown. */
  secret?: boolean;
}

export type SettingName = keyof typeof SETTINGS;

export interface Config {
  readonly home: string;
  readonly redisUrl: string | undefined;
  readonly databaseUrl: string | undefined;
  readonly store: string;
  readonly s3Endpoint: string | undefined;
  readonly redisPort: number;
  readonly databasePort: number;
  readonly queuePrefix: string;
  readonly workers: number;
  readonly tensorflow: "cpu" | "gpu" | "official";
  readonly renderer: "fast" | "exact";
  readonly outside: "error" | "empty";
  readonly boardPassword: string | undefined;
  readonly serveTokens: string | undefined;
  readonly style: string;
}

/**
 * Reads the settings once, from environment variables over defaults. A variable that is empty is as good as unset.
 *
 * @param root folder of the project; `.farm/` and `styles/` are found under it, and a relative home
 * @throws FarmError `usage` naming the variable, for a value that does not fit or an unknown `FARM_…` variable
 */
export function readConfig(
  root: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const variables = new Set<string>(Object.values(SETTINGS).map((setting) => setting.env));
  const unknown = Object.keys(env).find((name) => name.startsWith("FARM_") && !variables.has(name));
  if (unknown !== undefined) {
    throw new FarmError("usage", `unknown setting ${unknown}`, `one of ${[...variables].sort().join(", ")}`);
  }
  const read = (name: SettingName, preset: unknown): unknown => {
    const setting: Setting = SETTINGS[name];
    const refuse = (what = "does not fit", mend = setting.help): never => {
      const value = setting.secret === true ? "***" : redact(String(text));
      throw new FarmError("usage", `${setting.env}=${value}: ${what}`, mend);
    };
    const text = tidy(env[setting.env] || preset);
    if (typeof text === "string") {
      const problem = setting.check?.(text, root);
      if (problem !== undefined) refuse(problem.what, problem.mend);
    }
    const parsed = setting.schema.safeParse(text);
    return parsed.success ? parsed.data : refuse(parsed.error.issues[0]?.message);
  };
  const home = resolvePath(read("home", ".farm") as string, root);
  const presets: Partial<Record<SettingName, unknown>> = {
    store: pathToFileURL(join(home, "store")).href,
    redisPort: 46379,
    databasePort: 45432,
    queuePrefix: "loc2vec",
    workers: 1,
    tensorflow: "cpu",
    renderer: "fast",
    outside: "error",
    style: resolve(root, "styles/loc2vec.yaml"),
  };
  const names = (Object.keys(SETTINGS) as SettingName[]).filter((name) => name !== "home");
  return { ...Object.fromEntries(names.map((name) => [name, read(name, presets[name])])), home } as Config;
}

/** Environments that are read from files bring line ends along, and drivers compare schemes in lower case. */
function tidy(text: unknown): unknown {
  if (typeof text !== "string" || !/^\s*[a-z][a-z\d+.-]*:\/\//i.test(text)) return text;
  return text.trim().replace(/^[^:]*/, (scheme) => scheme.toLowerCase());
}

export interface SettingDescription {
  name: SettingName;
  env: string;
  /** As in force, secrets hidden; empty when unset. */
  value: string;
  help: string;
}

/** The settings in force, for people: secrets hidden. */
export function describeConfig(config: Config): SettingDescription[] {
  return Object.entries(SETTINGS).map(([name, setting]) => {
    const value = config[name as SettingName];
    return {
      name: name as SettingName,
      env: setting.env,
      value: value === undefined ? "" : "secret" in setting ? "***" : redact(String(value)),
      help: setting.help,
    };
  });
}
