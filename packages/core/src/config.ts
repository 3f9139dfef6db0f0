import { resolve } from "node:path";
import { z } from "zod";
import { FarmError } from "./errors.ts";

const url = (schemes: readonly string[]) =>
  z.string().refine(
    (value) => {
      try {
        return schemes.includes(new URL(value).protocol.replace(":", ""));
      } catch {
        return false;
      }
    },
    `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`,
  );

const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** Every setting, the environment variable it is read from, and what it means. The one place to add a setting. */
const SETTINGS = {
  home: {
    env: "FARM_HOME",
    schema: z.string().min(1),
    help: "folder of the local services, caches and reports",
  },
  redisUrl: {
    env: "FARM_REDIS_URL",
    schema: url(["redis", "rediss"]).optional(),
    help: "Redis of the queues; unset: a private one under FARM_HOME",
  },
  databaseUrl: {
    env: "FARM_DATABASE_URL",
    schema: url(["postgres", "postgresql"]).optional(),
    help: "PostgreSQL with PostGIS; unset: a private one under FARM_HOME",
  },
  store: {
    env: "FARM_STORE",
    schema: url(["file", "s3"]),
    help: "object store of data sets and models: file:///folder or s3://bucket/prefix",
  },
  s3Endpoint: {
    env: "FARM_S3_ENDPOINT",
    schema: url(["http", "https"]).optional(),
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
    help: "which TensorFlow to bind: cpu (PyPI's tensorflow-cpu), gpu (its tensorflow with CUDA 12), official (tfjs-node's own)",
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
  style: { env: "FARM_STYLE", schema: z.string().min(1), help: "the channel profile (YAML)" },
} as const;

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
  readonly style: string;
}

/**
 * Reads the settings once, from environment variables over defaults.
 *
 * @param root folder of the project; `.farm/` and `styles/` are found under it
 * @throws FarmError `usage` naming the variable, for a value that does not fit or an unknown `FARM_…` variable
 */
export function readConfig(
  root: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const home = resolve(root, env.FARM_HOME ?? ".farm");
  const defaults: Partial<Record<SettingName, unknown>> = {
    home,
    store: `file://${home}/store`,
    redisPort: 46379,
    databasePort: 45432,
    queuePrefix: "loc2vec",
    workers: 1,
    tensorflow: "cpu",
    renderer: "fast",
    outside: "error",
    style: resolve(root, "styles/loc2vec.yaml"),
  };
  const known = new Set<string>(Object.values(SETTINGS).map((setting) => setting.env));
  const unknown = Object.keys(env).find((name) => name.startsWith("FARM_") && !known.has(name));
  if (unknown !== undefined) {
    throw new FarmError("usage", `unknown setting ${unknown}`, `one of ${[...known].sort().join(", ")}`);
  }
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const given = env[setting.env];
    const raw = given === undefined || given === "" ? defaults[name as SettingName] : given;
    const parsed = setting.schema.safeParse(raw);
    if (!parsed.success) {
      throw new FarmError(
        "usage",
        `${setting.env}=${shown(setting, raw)}: ${parsed.error.issues[0]?.message}`,
        setting.help,
      );
    }
    values[name] = parsed.data;
  }
  values.home = home;
  return values as unknown as Config;
}

/** Hides the password of a URL, before its host or among its parameters: `redis://user:***@host`. */
export function redact(value: string): string {
  return value
    .replace(/(\/\/[^/@:]*):[^/]*@/, "$1:***@")
    .replace(/([?&](?:password|sslpassword|passphrase|secret|token)=)[^&#]*/gi, "$1***");
}

function shown(setting: { env: string; secret?: boolean }, value: unknown): string {
  return setting.secret === true ? "***" : redact(String(value));
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
      value: value === undefined ? "" : shown(setting, value),
      help: setting.help,
    };
  });
}
