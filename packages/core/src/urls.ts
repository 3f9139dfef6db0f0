import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Why a value cannot be used, and what to do about it. Neither holds a secret. */
export interface Problem {
  what: string;
  mend: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/;
const CONTROL_PROBLEM: Problem = {
  what: "it holds a line break or another control character",
  mend: "take it out",
};

/**
 * Why a URL of a server cannot be used; undefined when it can. Stricter than URL parsers, which take a `/` in a password
 * for the end of the host, and would then connect to, and name, the wrong one.
 *
 * @param schemes that are allowed, in lower case
 */
export function urlProblem(url: string, schemes: readonly string[]): Problem | undefined {
  const form = `${schemes[0]}://${schemes[0]?.startsWith("http") ? "" : "user:password@"}host:port`;
  if (CONTROL.test(url)) return CONTROL_PROBLEM;
  const [, scheme = "", rest = ""] = /^([a-z][a-z\d+.-]*):\/\/(.*)$/i.exec(url) ?? [];
  if (!schemes.includes(scheme.toLowerCase())) {
    const starts = schemes.map((each) => `${each}://`).join(" or ");
    return { what: `must be a URL that starts with ${starts}`, mend: `write ${form}` };
  }
  return (
    delimiterProblem(rest) ??
    percentProblem(rest) ??
    (rest.replace(/[/?#].*$/, "").includes(",")
      ? { what: "it names several hosts", mend: `name one: ${form}` }
      : undefined) ??
    (URL.canParse(url)
      ? undefined
      : {
          what: "host or port cannot be read",
          mend: `write ${form}; in user and password, percent-encode all but letters, digits and -._~`,
        })
  );
}

/** As {@link urlProblem}, for what takes its credentials from elsewhere. */
export function endpointProblem(url: string): Problem | undefined {
  const problem = urlProblem(url, ["http", "https"]);
  if (problem !== undefined) return problem;
  const { username, password, search } = new URL(url);
  if (username === "" && password === "" && search === "") return undefined;
  return {
    what: "neither credentials nor parameters belong in it",
    mend: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and write http://host:port",
  };
}

/** Characters that end the host, before the `@` that ends user and password. */
function delimiterProblem(rest: string): Problem | undefined {
  const begin = rest.search(/[/?#]/);
  const at = rest.lastIndexOf("@");
  if (begin < 0 || at < begin) {
    return begin >= 0 && rest.includes("#")
      ? { what: '"#" stands in it', mend: "percent-encode it: # as %23" }
      : undefined;
  }
  const reserved = [...new Set(rest.slice(0, at).match(/[/?#]/g))];
  return {
    what: `${reserved.map((each) => `"${each}"`).join(" and ")} ${reserved.length > 1 ? "stand" : "stands"} before the last "@"`,
    mend: `percent-encode user and password: ${reserved.map(percentEncoded).join(", ")} (and an @ behind the host as %40)`,
  };
}

/** Percent signs that begin no escape, and escapes that are no text. */
function percentProblem(text: string): Problem | undefined {
  if (/%(?![\da-f]{2})/i.test(text))
    return { what: '"%" stands before what is no hexadecimal number', mend: "percent-encode it: % as %25" };
  try {
    decodeURIComponent(text);
    return undefined;
  } catch {
    return { what: "what is percent-encoded in it is no UTF-8", mend: "percent-encode its bytes in UTF-8" };
  }
}

const percentEncoded = (character: string): string => `${character} as ${encodeURIComponent(character)}`;

/** Where an object store lies. */
export type StorePlace =
  | { kind: "file"; folder: string }
  /** `prefix` without slashes at its ends; may be empty. */
  | { kind: "s3"; bucket: string; prefix: string };

const STORE_FORMS = "use file:///folder or s3://bucket/prefix";

/**
 * Reads `file:///folder` or `s3://bucket/prefix`, where `%`, `?` and `#` are written percent-encoded and any other
 * character may stand for itself.
 *
 * @param base what a path that was given instead is relative to, for the mend
 */
export function readStoreUrl(url: string, base = "."): StorePlace | Problem {
  if (CONTROL.test(url)) return CONTROL_PROBLEM;
  const [, scheme = "", rest = ""] = /^(file|s3):(.*)$/i.exec(url) ?? [];
  if (scheme === "") {
    const what = "must be a URL that starts with file:// or s3://";
    return { what, mend: looksLikePath(url) ? `write ${fileUrl(url, base)}` : STORE_FORMS };
  }
  const reserved = [...new Set(rest.match(/[?#]/g))];
  if (reserved.length > 0) {
    const what = `${reserved.map((each) => `"${each}"`).join(" and ")} cannot stand in it`;
    return { what, mend: `percent-encode it: ${reserved.map(percentEncoded).join(", ")}` };
  }
  return percentProblem(rest) ?? (/^file$/i.test(scheme) ? readFileUrl(rest, base) : readS3Url(rest));
}

function readFileUrl(rest: string, base: string): StorePlace | Problem {
  const [, host = "", path = ""] = /^(?:\/\/([^/]*))?(.*)$/.exec(rest) ?? [];
  const instead = /[:@]/.test(host)
    ? STORE_FORMS
    : `write ${fileUrl(`${host}${path}`.replace(/^\/~/, "~"), base)}`;
  if (/^\/?~(?:\/|$)/.test(host || path)) return { what: '"~" is not expanded in a URL', mend: instead };
  if (host !== "" && host !== "localhost")
    return { what: 'what stands between its second and third "/" would be a host', mend: instead };
  if (!path.startsWith("/")) return { what: "its folder does not begin with /", mend: instead };
  const parts = path.split("/").map(decodeURIComponent);
  if (parts.some((part) => CONTROL.test(part) || part.includes("/")))
    return {
      what: "%2F or a control character stands in the name of a folder",
      mend: "choose another folder",
    };
  return { kind: "file", folder: resolve("/", parts.join("/")) };
}

function readS3Url(rest: string): StorePlace | Problem {
  const [, bucket = "", path = ""] = /^\/\/([^/]*)(.*)$/.exec(rest) ?? [];
  if (/[:@]/.test(bucket)) {
    return {
      what: "credentials and ports do not belong in it",
      mend: "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and FARM_S3_ENDPOINT, and write s3://bucket/prefix",
    };
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    return {
      what: `"${bucket}" is not a bucket's name`,
      mend: "write s3://bucket/prefix; a bucket's name is 3 to 63 of a-z, 0-9, - and .",
    };
  }
  const parts = path
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
  if (parts.some((part) => CONTROL.test(part) || part.includes("/") || part === "." || part === "..")) {
    return {
      what: "a part of the prefix is . or .., or holds %2F or a control character",
      mend: "choose another prefix",
    };
  }
  return { kind: "s3", bucket, prefix: parts.join("/") };
}

/** Anything else may be a secret that was put into the wrong variable. */
const looksLikePath = (text: string): boolean =>
  /^(?:[~.]?\.?\/|~$|[\w.-]+\/?)/.test(text) && !/[:@=]/.test(text);

function fileUrl(path: string, base: string): string {
  return pathToFileURL(resolvePath(path, base)).href;
}

/** A path against a folder; `~` and `~/…` are this user's home, as in a shell. */
export function resolvePath(path: string, base: string): string {
  const own = /^~(?:\/+(.*))?$/s.exec(path);
  return own !== null
    ? join(homedir(), own[1] ?? "")
    : isAbsolute(path)
      ? resolve(path)
      : resolve(base, path);
}

/** Longest path of the home, bytes: PostgreSQL cuts off the path of its data folder at 1023. */
const HOME_BYTES = 900;

/** Why a folder cannot be the farm's home; undefined when it can. @param given as given, not resolved yet */
export function homeProblem(home: string, base: string): Problem | undefined {
  if (CONTROL.test(home)) return CONTROL_PROBLEM;
  if (/^~[^/]/.test(home))
    return { what: "the home of another user is not known", mend: "write it without ~" };
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(home))
    return { what: "it is a URL", mend: "write the path of a folder" };
  const path = resolvePath(home, base);
  const long = path.split("/").some((part) => Buffer.byteLength(part) > 255);
  return long || Buffer.byteLength(path) > HOME_BYTES
    ? {
        what: `it is longer than ${HOME_BYTES} bytes, or a name in it than 255`,
        mend: "choose a shorter path",
      }
    : undefined;
}
