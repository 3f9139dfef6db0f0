import { FarmError } from "@loc2vec/core";
import type pg from "pg";

/** Parameters of a database URL that libpq reads from a variable. */
const VARIABLES: Readonly<Record<string, string>> = {
  host: "PGHOST",
  hostaddr: "PGHOSTADDR",
  port: "PGPORT",
  user: "PGUSER",
  password: "PGPASSWORD",
  passfile: "PGPASSFILE",
  dbname: "PGDATABASE",
  options: "PGOPTIONS",
  application_name: "PGAPPNAME",
  client_encoding: "PGCLIENTENCODING",
  connect_timeout: "PGCONNECT_TIMEOUT",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  channel_binding: "PGCHANNELBINDING",
  gssencmode: "PGGSSENCMODE",
  krbsrvname: "PGKRBSRVNAME",
  requirepeer: "PGREQUIREPEER",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslcrl: "PGSSLCRL",
  sslsni: "PGSSLSNI",
  ssl_min_protocol_version: "PGSSLMINPROTOCOLVERSION",
  ssl_max_protocol_version: "PGSSLMAXPROTOCOLVERSION",
};
/** Parameters that libpq has no variable for. */
const WITHOUT_VARIABLE = [
  "keepalives",
  "keepalives_idle",
  "keepalives_interval",
  "keepalives_count",
  "tcp_user_timeout",
];
/** Variables of libpq that the driver does not know: they would lead a child process to another server. */
const FOREIGN = ["PGSERVICE", "PGHOSTADDR", "PGTARGETSESSIONATTRS"];

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full", "no-verify"];
/** Where Debian and Ubuntu keep the public authorities, which Node brings with it. */
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/** As the driver does it: what is no percent-encoding stays. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Host (or folder of a socket), port, user and database of a URL; undefined for what it leaves to libpq's variables. */
function partsOf(
  databaseUrl: string,
): Record<"host" | "port" | "user" | "password" | "dbname", string | undefined> {
  const { hostname, port, username, password, pathname, searchParams } = new URL(databaseUrl);
  const setting = (name: string, other: string): string | undefined =>
    searchParams.get(name) || other || undefined;
  return {
    host: setting("host", decode(hostname).replace(/^\[|\]$/g, "")),
    port: setting("port", port),
    user: setting("user", decode(username)),
    password: setting("password", decode(password)),
    dbname: setting("dbname", decode(pathname.slice(1))),
  };
}

/** `host:port/database` of a URL. */
export function serverOf(databaseUrl: string): string {
  const { host = process.env.PGHOST ?? "localhost", port, dbname } = partsOf(databaseUrl);
  return `${host}:${port ?? process.env.PGPORT ?? 5432}${dbname === undefined ? "" : `/${dbname}`}`;
}

/** The role that a URL names, else the one that PostgreSQL would take. */
export function roleOf(databaseUrl: string): string {
  return partsOf(databaseUrl).user ?? process.env.PGUSER ?? process.env.USER ?? "the role";
}

/** The database that a URL names, else the one that PostgreSQL would take. */
export function databaseOf(databaseUrl: string): string {
  return partsOf(databaseUrl).dbname ?? process.env.PGDATABASE ?? roleOf(databaseUrl);
}

/**
 * What the driver connects with. All modes of TLS but `disable` and `no-verify` check the server's certificate.
 *
 * @throws FarmError `usage` for several hosts, or an `sslmode` that does not exist
 */
export function driverConfig(databaseUrl: string, application: string): pg.ClientConfig {
  const { searchParams } = new URL(databaseUrl);
  const { host = "" } = partsOf(databaseUrl);
  if (host.includes(",")) {
    throw new FarmError(
      "usage",
      `FARM_DATABASE_URL names several hosts (${host})`,
      "name the primary; a proxy such as HAProxy can choose among several",
    );
  }
  const mode = searchParams.get("sslmode");
  if (mode !== null && !SSL_MODES.includes(mode)) {
    throw new FarmError(
      "usage",
      `FARM_DATABASE_URL: sslmode=${mode} is unknown`,
      `one of ${SSL_MODES.join(", ")}`,
    );
  }
  const seconds = (name: string): number => Number(searchParams.get(name) ?? Number.NaN);
  const timeout = seconds("connect_timeout");
  return {
    // The driver takes these for `verify-full` as well, but says in eight lines that it may not always.
    connectionString: databaseUrl.replace(
      /([?&]sslmode=)(?:allow|prefer|require|verify-ca)(?=[&#]|$)/g,
      "$1verify-full",
    ),
    connectionTimeoutMillis: timeout > 0 ? timeout * 1000 : 10_000,
    // A connection that holds a lock for hours says nothing meanwhile; firewalls forget such.
    keepAlive: searchParams.get("keepalives") !== "0",
    keepAliveInitialDelayMillis: 1000 * (seconds("keepalives_idle") || 60),
    application_name: application,
  };
}

/**
 * The environment of a child process that connects by libpq as the driver does, without a password in its arguments.
 *
 * @param settings settings of the server for the sessions, besides those of the URL's `options`
 */
export function libpqEnvironment(
  databaseUrl: string,
  settings: Readonly<Record<string, string>> = {},
  env: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const parameters = Object.fromEntries(new URL(databaseUrl).searchParams);
  const ssl =
    parameters.ssl === "no-verify" || parameters.ssl === "true" || parameters.ssl === "1"
      ? "require"
      : undefined;
  const sslmode = parameters.sslmode === "no-verify" ? "require" : (parameters.sslmode ?? ssl);
  const sslrootcert = parameters.sslrootcert ?? (sslmode?.startsWith("verify") ? AUTHORITIES : undefined);
  const escaped = (value: string): string => value.replace(/[\\\s]/g, "\\$&");
  const options = [
    parameters.options ?? env.PGOPTIONS ?? "",
    ...Object.entries(settings).map(([name, value]) => `-c ${name}=${escaped(value)}`),
  ];
  const parts = partsOf(databaseUrl);
  const values: Record<string, string | undefined> = {
    ...parameters,
    ...parts,
    // Without a host libpq would take a socket, and without an encoding the role's.
    host: parts.host ?? env.PGHOST ?? "localhost",
    client_encoding: "UTF8",
    sslmode,
    sslrootcert,
    options: options.join(" ").trim(),
  };
  const own = Object.entries(VARIABLES).flatMap(([name, variable]) => {
    const value = values[name];
    return value ? [[variable, value]] : [];
  });
  const inherited = Object.entries(env).filter(([name]) => !FOREIGN.includes(name));
  return { ...Object.fromEntries(inherited), ...Object.fromEntries(own) };
}

/** libpq's parameters that have no variable, as `name=value …`; undefined where the URL has none of them. */
export function libpqDatabase(databaseUrl: string): string | undefined {
  const { searchParams } = new URL(databaseUrl);
  const unsupported = WITHOUT_VARIABLE.flatMap((name) => {
    const value = searchParams.get(name);
    return value === null ? [] : [`${name}='${value.replace(/[\\']/g, "\\$&")}'`];
  });
  return unsupported.length === 0 ? undefined : unsupported.join(" ");
}
