import { type ErrorKind, errorMessage, FarmError } from "@loc2vec/core";
import pg from "pg";
import { databaseOf, roleOf, serverOf } from "./url.ts";

/** What fits a class of failures: which exit code, and what the user can do. */
type Advice = readonly [kind: ErrorKind, mend: string];

const START =
  "start it, or correct FARM_DATABASE_URL, or unset that: then a private one is started (pnpm farm:up)";
const AGAIN = "run it again when the server is back";
const CERTIFICATE =
  "add sslrootcert=FILE of its authority to FARM_DATABASE_URL, or sslmode=no-verify to trust it unseen";

/** A name as SQL has it: quoted only if it must be. */
const named = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : pg.escapeIdentifier(name));

/** Codes of Node and OpenSSL. */
const CONNECTION: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  CERT_SIGNATURE_FAILURE: CERTIFICATE,
  CERT_HAS_EXPIRED:
    "renew the server's certificate, or sslmode=no-verify in FARM_DATABASE_URL to trust it unseen",
  CERT_NOT_YET_VALID: "set the clocks right, here and where the certificate was made",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "name the host as the certificate does in FARM_DATABASE_URL, or sslmode=no-verify there to trust it unseen",
  ENOTFOUND: "correct the host in FARM_DATABASE_URL",
  EAI_AGAIN: "the name service does not answer: try again, or name the host by its address",
};

/** What the driver says without a code. */
const DRIVER: readonly (readonly [RegExp, Advice])[] = [
  [
    /does not support SSL/,
    ["service", "ssl = on in its postgresql.conf, or sslmode=disable in FARM_DATABASE_URL"],
  ],
  [
    /password must be a (non-empty )?string|no password/i,
    ["service", "give the password in FARM_DATABASE_URL"],
  ],
  [/timeout|terminated|not queryable|ended unexpectedly/i, ["service", START]],
];

/** By SQLSTATE, or the class that it begins with; https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const STATES: Readonly<Record<string, Advice>> = {
  "08": ["service", START],
  "0A": ["service", ""],
  "22": ["input", ""],
  "25006": [
    "service",
    "let FARM_DATABASE_URL name the primary, with a role whose default_transaction_read_only is off",
  ],
  "26": ["service", "a pooler is in between: let FARM_DATABASE_URL name PostgreSQL itself"],
  "28": [
    "service",
    "correct the user in FARM_DATABASE_URL, or let the server's pg_hba.conf admit it from here",
  ],
  "28P01": ["service", "correct user and password in FARM_DATABASE_URL"],
  "3D000": ["service", ""],
  "3F000": ["input", "correct the name, or the search_path of the role"],
  "40": ["service", "run it again"],
  "42P01": ["input", "correct the name, or import first (pnpm farm:import FILE.osm.pbf)"],
  "42P05": ["service", "a pooler is in between: let FARM_DATABASE_URL name PostgreSQL itself"],
  "42703": ["input", "correct the name of the column"],
  "53": ["service", "give the server more of what it lacks"],
  "53100": ["service", "free space on the disk of the server"],
  "53200": ["service", "give the server more memory, or lower its work_mem and max_connections"],
  "53300": ["service", "raise its max_connections, run fewer workers, or put PgBouncer in between"],
  "53400": ["service", "raise that limit of the server"],
  "54": ["service", ""],
  "55P03": ["service", "something else holds a lock: run it again when that is done"],
  "57": ["service", AGAIN],
  "58": ["service", "see the log of the server: its disk or its installation is damaged"],
  "58P01": ["missing", "install PostGIS on the server (postgresql-NN-postgis-3, NN its version)"],
  XX: ["service", "see the log of the server"],
};

/** The settings whose time was up. */
const LIMITS: Readonly<Record<string, string>> = {
  "57014": "statement_timeout",
  "57P05": "idle_session_timeout",
  "25P03": "idle_in_transaction_session_timeout",
  "25P04": "transaction_timeout",
};

/** What PostgreSQL's code would be, where only its words come through: PgBouncer has one code for all, osm2pgsql tells none. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/permission denied|must be owner/, "42501"],
  [/no space left|could not extend file/i, "53100"],
  [/too many (clients|connections)|remaining connection slots|no more connections/, "53300"],
  [/out of memory|memory alloc/i, "53200"],
  [/exceeds temp_file_limit/, "53400"],
  [/read-only transaction/, "25006"],
  [/statement timeout/, "57014"],
  [/lock timeout/, "55P03"],
  [/prepared statement .*exist/, "26000"],
  [/type "geometry" does not exist|postgis extension is not enabled/, "42704"],
  [/authentication failed|auth failed|no such user|no password supplied/, "28P01"],
  [/no pg_hba\.conf entry/, "28000"],
  [/database .*does not exist|no such database/, "3D000"],
  [/unsupported startup parameter/, "08P01"],
  [/terminating connection|shutting down|starting up|closed the connection|server conn crashed/, "57P01"],
  [/Connecting to database failed|connection to server/, "08006"],
  [/Database error/, "XX000"],
];
const stateOf = (message: string): string | undefined =>
  WORDS.find(([pattern]) => pattern.test(message))?.[1];
const POOLER_MENDS: readonly (readonly [RegExp, string])[] = [
  [
    /unsupported startup parameter/,
    "ignore_startup_parameters = options in pgbouncer.ini, or leave `options` out of FARM_DATABASE_URL",
  ],
  [/statement pooling/, "pool_mode = transaction or session in pgbouncer.ini"],
  [/query_wait_timeout/, "raise pool_size of the pooler, or run fewer workers"],
];

/** PostgreSQL's code of a failure, e.g. `42501`; undefined where it is none of PostgreSQL. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof FarmError ? error.cause : error;
  return cause instanceof pg.DatabaseError ? cause.code : undefined;
}

/** The GRANT (or the like) that mends a missing right, as far as the message says what it is about. */
function rightFor(message: string, databaseUrl: string): string {
  const role = named(roleOf(databaseUrl));
  const [, kind = "", name = ""] =
    /permission denied for ((?:[a-z]+ )*?(?:table|view|relation|schema|database|function|type|sequence)) "?(.+?)"?$/.exec(
      message,
    ) ?? [];
  const [, owned = "", object = ""] = /must be owner of ((?:[a-z]+ )*[a-z]+) "?(.+?)"?$/.exec(message) ?? [];
  const reading = `GRANT USAGE ON SCHEMA farm TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA farm TO ${role}`;
  if (/create extension|untrusted|extension/.test(message)) {
    return `as a superuser, in database ${databaseOf(databaseUrl)}: CREATE EXTENSION postgis`;
  }
  if (/create database/.test(message)) return `ALTER ROLE ${role} CREATEDB`;
  if (owned !== "") {
    return `ALTER ${owned.toUpperCase()} ${named(object)} OWNER TO ${role}, or let FARM_DATABASE_URL name its owner`;
  }
  if (kind === "database") {
    return `GRANT CONNECT, CREATE ON DATABASE ${named(name)} TO ${role}`;
  }
  if (kind === "schema") return name === "farm" ? reading : `GRANT USAGE ON SCHEMA ${named(name)} TO ${role}`;
  if (kind === "function") return `GRANT EXECUTE ON FUNCTION ${named(name)} TO ${role}`;
  if (kind === "type") return `GRANT USAGE ON TYPE ${named(name)} TO ${role}`;
  if (kind !== "") {
    return ["feature", "label", "import_info"].includes(name)
      ? reading
      : `GRANT SELECT ON ${named(name)} TO ${role}`;
  }
  return `grant the role ${role} what the message names`;
}

function adviceOn(error: Error, databaseUrl: string): Advice {
  const { code = "", path, syscall } = error as NodeJS.ErrnoException;
  const { message } = error;
  if (error instanceof pg.DatabaseError) {
    const mend = code === "08P01" ? POOLER_MENDS.find(([pattern]) => pattern.test(message))?.[1] : undefined;
    if (mend !== undefined) return ["service", mend];
    const state = (code === "08P01" ? stateOf(message) : undefined) ?? code;
    const role = named(roleOf(databaseUrl));
    if (state === "42501") return ["service", rightFor(message, databaseUrl)];
    if (state === "3D000") {
      const database = databaseOf(databaseUrl);
      return ["service", `CREATE DATABASE ${named(database)}, or correct the name in FARM_DATABASE_URL`];
    }
    if (state === "28000" && /no encryption/.test(message)) {
      return ["service", "add sslmode=verify-full (or no-verify) to FARM_DATABASE_URL"];
    }
    if (state === "28000" && /not permitted to log in/.test(message)) {
      return ["service", `ALTER ROLE ${role} LOGIN`];
    }
    if (/configuration parameter|value for parameter/.test(message)) {
      return ["service", "correct the parameters of FARM_DATABASE_URL, `options` above all"];
    }
    const limit = state === "57014" && !/statement timeout/.test(message) ? undefined : LIMITS[state];
    if (limit !== undefined) return ["service", `ALTER ROLE ${role} SET ${limit} = 0`];
    if (
      /^42(704|883|P01)$/.test(state) &&
      /\b(geometry|geography|box2d|st_\w+|spatial_ref_sys)\b/i.test(message)
    ) {
      return ["missing", `as a superuser, in database ${databaseOf(databaseUrl)}: CREATE EXTENSION postgis`];
    }
    return STATES[state] ?? STATES[state.slice(0, 2)] ?? ["service", ""];
  }
  if (syscall === "open" && path !== undefined) {
    return ["usage", "correct sslrootcert, sslcert or sslkey in FARM_DATABASE_URL"];
  }
  const advice = CONNECTION[code];
  if (advice !== undefined) return ["service", advice];
  if (/^(ERR_SSL|ERR_TLS|ERR_OSSL)|CERT/.test(code)) return ["service", CERTIFICATE];
  return DRIVER.find(([pattern]) => pattern.test(message))?.[1] ?? ["service", START];
}

/**
 * What a failure of the driver or an answer of the server is to the user: one line with the server (without its password), what
 * it said and PostgreSQL's code, and the mend that fits. Its code is `postgres`, unless something is missing or the question was wrong
 * (`missing`, `input`, `usage`). FarmErrors stay as they are.
 */
export function postgresError(error: unknown, databaseUrl: string): FarmError {
  if (error instanceof FarmError) return error;
  const thrown = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  const [kind, mend] = adviceOn(thrown instanceof Error ? thrown : new Error(String(thrown)), databaseUrl);
  return told(thrown, [kind, mend], sqlState(thrown), databaseUrl);
}

/**
 * What a program that does not tell PostgreSQL's code says of its server, as {@link postgresError}; undefined when it says
 * nothing of it.
 */
export function postgresProblem(message: string, databaseUrl: string): FarmError | undefined {
  const state = stateOf(message);
  if (state === undefined) return undefined;
  const error = new pg.DatabaseError(message.replace(/^.*?(ERROR|FATAL): +/, ""), 0, "error");
  error.code = state;
  const code = state === "XX000" ? undefined : state;
  return told(error, adviceOn(error, databaseUrl), code, databaseUrl);
}

function told(
  error: unknown,
  [kind, mend]: Advice,
  state: string | undefined,
  databaseUrl: string,
): FarmError {
  const said = (errorMessage(error).split("\n")[0] ?? "").trim();
  return new FarmError(
    kind === "service" ? "postgres" : kind,
    `PostgreSQL at ${serverOf(databaseUrl)}: ${said}${state === undefined ? "" : ` (${state})`}`,
    mend,
    { cause: error },
  );
}
