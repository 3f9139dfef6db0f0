import { createHash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { link, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { BlockList, isIP } from "node:net";
import { dirname } from "node:path";
import { errorMessage, FarmError } from "@loc2vec/core";

/** The shortest password with which a server may be reached from elsewhere. */
const SHORTEST = 12;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Whether a name or address can only mean this machine. */
export function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return /^(.+\.)?localhost$/i.test(host);
  return loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/** The name in a Host header, without port and brackets; empty when there is none. */
export function hostName(header: string | undefined): string {
  const url = `http://${header}`;
  return header && URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, "$1") : "";
}

/** Compares in a time that tells nothing about how much is right, nor about the length. */
export function samePassword(answer: string, password: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(answer), digest(password));
}

/** The password in an Authorization header; undefined without one, empty when it holds none. */
export function shownPassword(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  const [, scheme, value = ""] = /^(basic|bearer) +(\S+)$/i.exec(header) ?? [];
  if (scheme?.toLowerCase() !== "basic") return value;
  const [, password = ""] = /^[^:]*:(.*)$/s.exec(Buffer.from(value, "base64").toString()) ?? [];
  return password;
}

/**
 * Whether a request that changes something may come from another site's page: browsers send the password that they
 * remember along with it. `Sec-Fetch-Site` decides where a browser sends it, else `Origin` must name the host; a script
 * sends either.
 */
export function isForeign(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  const origin = String(headers.origin);
  return !URL.canParse(origin) || new URL(origin).host !== headers.host;
}

/** A server of the farm's, for people. */
export interface ServerName {
  /** As in messages: `board`. */
  name: string;
  /** The setting that holds its password: `FARM_BOARD_PASSWORD`. */
  setting: string;
}

export interface PasswordOptions {
  server: ServerName;
  host: string;
  /** Empty is as good as none. */
  password?: string | undefined;
  /** Where a random password is kept when none is given. */
  passwordFile?: string | undefined;
  log: (line: string) => void;
}

/**
 * The password that guards a server: the given one, or on a loopback address a random one, made once and kept.
 *
 * @throws FarmError `usage` when it would lie open, or the file cannot be used
 */
export async function choosePassword(options: PasswordOptions): Promise<string> {
  const { server, host, password = "", passwordFile, log } = options;
  const local = isLoopback(host);
  if (local ? password !== "" : password.length >= SHORTEST) return password;
  if (!local || passwordFile === undefined) {
    throw new FarmError(
      "usage",
      local
        ? `the ${server.name} has neither a password nor a file to keep one in`
        : `the ${server.name} would be open to others on ${host} ${password === "" ? "without a password" : `with a password of fewer than ${SHORTEST} characters`}`,
      `set ${server.setting} to ${SHORTEST} characters or more${local ? "" : ", or bind to 127.0.0.1"}`,
    );
  }
  const unusable = (reason: string): FarmError =>
    new FarmError(
      "usage",
      `the ${server.name}'s password file: ${reason}`,
      `remove it, or set ${server.setting}`,
    );
  const begun = `${passwordFile}.${randomUUID()}`;
  try {
    await mkdir(dirname(passwordFile), { recursive: true });
    await writeFile(begun, `${randomBytes(24).toString("base64url")}\n`, { flag: "wx", mode: 0o600 });
    // Whole or not at all; fails when there is one already, which then counts.
    await link(begun, passwordFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw unusable(errorMessage(error));
  } finally {
    await rm(begun, { force: true }).catch(() => {});
  }
  const [{ mode }, kept] = await Promise.all([stat(passwordFile), readFile(passwordFile, "utf8")]).catch(
    (error) => {
      throw unusable(errorMessage(error));
    },
  );
  if ((mode & 0o077) !== 0) throw unusable(`${passwordFile} is open to others`);
  if (kept.trim().length < SHORTEST) throw unusable(`${passwordFile} holds no password`);
  log(`${server.name}: any user name, the password is in ${passwordFile}`);
  return kept.trim();
}
