/** Parameters of a URL's query that hold no secret; the values of all others are hidden. */
const PLAIN_PARAMETERS = new Set([
  ...["host", "hostaddr", "port", "user", "dbname", "db", "family", "options"],
  ...["sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "uselibpqcompat", "gssencmode"],
  ...["application_name", "connect_timeout", "client_encoding", "target_session_attrs"],
]);

/** What stands after the scheme where there is neither user nor password: hosts, with or without ports. */
const HOSTS = /^(?:\[[\da-f:.]*\]|[^\s:@[\]/?#,]*)(?::\d{1,5})?(?:,[^\s:@[\]/?#,]*(?::\d{1,5})?)*$/i;

/**
 * Hides what may be secret in one URL, also in one that does not parse: `redis://user:***@host`. Where a password begins
 * and ends is not certain then, so rather too much is hidden: all from the first colon to the last `@`, and every
 * parameter that is not known to be harmless.
 *
 * @param url nothing but a URL, or what was given for one; for a text that may hold some, see {@link redactText}
 */
export function redact(url: string): string {
  const [scheme = ""] = /^\s*[a-z][a-z\d+.-]*:\/\//i.exec(url) ?? [];
  const rest = url.slice(scheme.length);
  const [authority = ""] = /^[^/?#]*/.exec(rest) ?? [];
  const hasUser = /[:@]/.test(authority);
  // Folders and buckets have no user, but any character.
  if (/^\s*file:(?:\/(?!\/)|\/\/\/)/i.test(url) || (/^\s*s3:/i.test(scheme) && !hasUser)) return url;
  const at = rest.lastIndexOf("@");
  if (at < 0 && HOSTS.test(authority)) return scheme + hideParameters(rest);
  if (at < 0) return `${scheme}${hasUser ? `${authority.split(":", 1)[0]}:` : ""}***`;
  const userinfo = rest.slice(0, at);
  // With a ? before it, the @ may be in the middle of a parameter.
  const tail = userinfo.includes("?") ? "***" : hideParameters(rest.slice(at + 1));
  return `${scheme}${hideUser(scheme, userinfo)}@${tail}`;
}

/** Leaves the user, which a message needs, where one stands before the password of a server. */
function hideUser(scheme: string, userinfo: string): string {
  const [, user, password] = /^([^:/?#@\s]*):(.+)$/s.exec(userinfo) ?? [];
  const known = scheme === "" || /^\s*(?:rediss?|postgres(?:ql)?|mysql):/i.test(scheme);
  return password !== undefined && known ? `${user}:***` : "***";
}

/** Hides all from the first parameter on that may hold a secret: what follows may still be a part of it. */
function hideParameters(tail: string): string {
  const [host = ""] = /^[^?&#]*/.exec(tail) ?? [];
  let shown = host;
  for (const parameter of tail.slice(host.length).split(/(?=[?&#])/)) {
    const [, begin = "", name = ""] = /^([?&#](?:([\w-]{1,30})=)?)/.exec(parameter) ?? [];
    if (parameter.length > 1 && (parameter[0] === "#" || !PLAIN_PARAMETERS.has(name.toLowerCase())))
      return `${shown}${begin}***`;
    shown += parameter;
  }
  return shown;
}

/** `password=…` as libpq, shells and JSON write it. */
const ASSIGNED =
  /([\w-]*(?:password|passwd|passphrase|pwd|secret|token|credential)[\w-]*(?:\s*=\s*|["']\s*:\s*))(?!\*\*\*(?:[\s&"',;:)\]}]|$))("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S+)/gi;

/** Where a URL begins, or a line: in a password, too, may stand what looks like the scheme of one. */
const BEGIN =
  /(?<![a-z\d+.-])(?=(?:rediss?|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|amqps?|https?|ftps?|socks\w*|s3|file):\/\/)|(?<=\n)/i;

/**
 * Hides the secrets in a text of others, a driver's message or a stack: in each URL, and after `password=` and the like.
 * What is hidden already stays as it is.
 */
export function redactText(text: string): string {
  return text.split(BEGIN).map(redactFirst).join("").replace(ASSIGNED, "$1***");
}

/** Hides the secrets of a URL that stands at the beginning. */
function redactFirst(text: string): string {
  const [scheme] = /^[a-z][a-z\d+.-]*:\/\//i.exec(text) ?? [];
  if (scheme === undefined || /^(?:[^:@/?#\s]*:)?\*\*\*@/.test(text.slice(scheme.length))) return text;
  const [word = ""] = /^[^\s"'`<>]*/.exec(text) ?? [];
  const at = text.lastIndexOf("@");
  // The passwords of servers may hold blanks and quotes; elsewhere an @ far behind belongs to the prose.
  const far = at > word.length && /^(?:rediss?|postgres(?:ql)?):/i.test(scheme);
  const end = far ? at + 1 + (/^[^\s"'`<>]*/.exec(text.slice(at + 1))?.[0].length ?? 0) : word.length;
  const url = text.slice(0, end).replace(/[).,;:]+$/, "");
  return redact(url) + text.slice(url.length);
}
