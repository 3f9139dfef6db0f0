import { expect, test } from "vitest";
import { libpqDatabase, libpqEnvironment, serverOf } from "../src/index.ts";

test("a child process is told all that libpq knows, and nothing else", () => {
  const url =
    "postgres://m%40e:pa%2Fss%25@db.example:5433/my%20map?sslmode=verify-full&sslrootcert=/ca.pem&options=-cwork_mem%3D8MB" +
    "&connect_timeout=5&target_session_attrs=read-write&application_name=a%20b&keepalives=1&keepalives_idle=30&pgbouncer=true";
  expect(
    libpqEnvironment(
      url,
      { search_path: 'public, "a\\b"' },
      { PATH: "/bin", PGSERVICE: "else", PGHOSTADDR: "1.2.3.4" },
    ),
  ).toEqual({
    PATH: "/bin",
    PGHOST: "db.example",
    PGPORT: "5433",
    PGUSER: "m@e",
    PGPASSWORD: "pa/ss%",
    PGDATABASE: "my map",
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: "/ca.pem",
    PGOPTIONS: '-cwork_mem=8MB -c search_path=public,\\ "a\\\\b"',
    PGCONNECT_TIMEOUT: "5",
    PGTARGETSESSIONATTRS: "read-write",
    PGAPPNAME: "a b",
    PGCLIENTENCODING: "UTF8",
  });
  expect(libpqDatabase(url)).toBe("keepalives='1' keepalives_idle='30'");
  expect(libpqDatabase("postgres://a/b")).toBeUndefined();
});

test("sockets, IPv6, and what libpq has other words for", () => {
  const environment = (url: string) => libpqEnvironment(url, {}, {});
  expect(environment("postgres:///osm?host=/run/postgresql&user=me")).toEqual({
    PGHOST: "/run/postgresql",
    PGUSER: "me",
    PGDATABASE: "osm",
    PGCLIENTENCODING: "UTF8",
  });
  // The driver takes no socket by itself.
  expect(environment("postgres:///osm")).toMatchObject({ PGHOST: "localhost" });
  expect(libpqEnvironment("postgres:///osm", {}, { PGHOST: "db" })).toMatchObject({ PGHOST: "db" });
  expect(environment("postgres://me@%2Frun%2Fpostgresql/osm")).toMatchObject({ PGHOST: "/run/postgresql" });
  expect(environment("postgres://me@[::1]:5433/osm")).toMatchObject({ PGHOST: "::1", PGPORT: "5433" });
  // Encrypted, unseen who it is: libpq calls that `require`.
  expect(environment("postgres://a/b?sslmode=no-verify")).toMatchObject({ PGSSLMODE: "require" });
  expect(environment("postgres://a/b?ssl=true")).toMatchObject({ PGSSLMODE: "require" });
  // Node knows the public authorities by itself, libpq needs their file.
  expect(environment("postgres://a/b?sslmode=verify-full")).toMatchObject({
    PGSSLROOTCERT: "/etc/ssl/certs/ca-certificates.crt",
  });
});

test("a server is named without user and password", () => {
  expect(serverOf("postgres://me:geheim@db.example/osm?password=geheim")).toBe("db.example:5432/osm");
  expect(serverOf("postgres:///osm?host=/run/postgresql&port=5433")).toBe("/run/postgresql:5433/osm");
});
