import { isUtf8 } from "node:buffer";
import { FarmError } from "@loc2vec/core";

/** Which encoding bytes begin in: by their mark, by their zeros, or by the XML declaration. */
function encodingOf(head: Buffer): string {
  const start = head.toString("hex", 0, 2);
  if (start === "fffe" || start === "3c00") return "utf-16le";
  if (start === "feff" || start === "003c") return "utf-16be";
  const declared = /^(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*["']([^"']+)/.exec(
    head.toString("latin1", 0, 512),
  )?.[1];
  return declared === undefined || /^utf-?16/i.test(declared) ? "utf-8" : declared.toLowerCase();
}

/** Where the markup that begins at `open` ends, behind it; -1 where it does not. */
function endOfMarkup(text: string, open: number): number {
  const after = (mark: string, from: number): number => {
    const at = text.indexOf(mark, open + from);
    return at < 0 ? -1 : at + mark.length;
  };
  if (text.startsWith("<!--", open)) return after("-->", 4);
  if (text.startsWith("<![CDATA[", open)) return after("]]>", 9);
  if (text.startsWith("<?", open)) return after("?>", 2);
  const declaration = text.startsWith("<!", open);
  let nested = 0;
  for (let at = open + 1; at < text.length; at++) {
    const char = text[at];
    if (char === '"' || char === "'") {
      at = text.indexOf(char, at + 1);
      if (at < 0) return -1;
    } else if (declaration && char === "[") nested++;
    else if (declaration && char === "]") nested--;
    else if (char === ">" && nested === 0) return at + 1;
  }
  return -1;
}

/**
 * The name of the root element of what may be XML: empty where it is none.
 *
 * @param whole there is no more than `head`; else undefined says that more is needed
 */
export function rootOf(head: Buffer, whole: boolean): { root: string; text: string } | undefined {
  let text: string;
  try {
    text = new TextDecoder(encodingOf(head)).decode(head);
  } catch {
    text = head.toString("latin1");
  }
  let at = 0;
  for (;;) {
    at += /^\s*/.exec(text.slice(at, at + 65_536))?.[0].length ?? 0;
    if (text[at] !== "<") return { root: "", text };
    if (/^<!doctype\s+html/i.test(text.slice(at, at + 40))) return { root: "html", text };
    if (text[at + 1] !== "!" && text[at + 1] !== "?") break;
    const end = endOfMarkup(text, at);
    if (end < 0) return whole ? { root: "", text } : undefined;
    at = end;
  }
  const name = /^<([^\s/>]+)(?=[\s/>])/.exec(text.slice(at, at + 100))?.[1] ?? "";
  if (name === "" && !whole && text.length - at < 100) return undefined;
  return { root: name.toLowerCase() === "html" ? "html" : name, text };
}

/** What is seen of a map in XML on the way. */
export interface XmlSeen {
  /** Objects that JOSM was told to delete, which are left out. */
  deleted: number;
  /** There are objects that the server deleted: `visible="false"`. */
  invisible: boolean;
  /** Ways carry the coordinates of their nodes. */
  located: boolean;
}

/** A file's text in pieces: each is whole characters. */
async function* decode(
  path: string,
  source: AsyncIterable<Buffer>,
): AsyncGenerator<{ text: string; broken: boolean }> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let kept: Buffer = Buffer.alloc(0);
  const start = (): void => {
    const encoding = encodingOf(kept);
    try {
      decoder = /^(utf-?8|us-ascii|ascii)$/.test(encoding)
        ? undefined
        : new TextDecoder(encoding, { fatal: true });
    } catch {
      throw new FarmError("input", `${path}: its encoding ${encoding} is unknown`, "save it as UTF-8");
    }
  };
  const broken = (): FarmError =>
    new FarmError(
      "input",
      `${path}: its text is not in the encoding it declares, ${decoder?.encoding}`,
      "save it as UTF-8",
    );
  let started = false;
  for await (const chunk of source) {
    kept = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    if (!started) {
      if (kept.length < 512) continue;
      started = true;
      start();
    }
    if (decoder !== undefined) {
      let text: string;
      try {
        text = decoder.decode(kept, { stream: true });
      } catch {
        throw broken();
      }
      kept = Buffer.alloc(0);
      yield { text, broken: false };
      continue;
    }
    // Up to the last ASCII character: what follows may be the beginning of another one.
    let end = kept.length;
    while (end > 0 && (kept[end - 1] as number) >= 0x80) end--;
    const whole = kept.subarray(0, end);
    kept = kept.subarray(end);
    yield { text: whole.toString("utf8"), broken: !isUtf8(whole) };
  }
  if (!started) start();
  try {
    const text = decoder === undefined ? kept.toString("utf8") : decoder.decode(kept);
    yield { text, broken: decoder === undefined && !isUtf8(kept) };
  } catch {
    throw broken();
  }
}

const OBJECTS = new Set(["node", "way", "relation"]);
const PARTS = new Set(["tag", "nd", "member"]);

const ATTRIBUTES = ["id", "ref", "lat", "lon", "version", "visible", "action"] as const;
const PATTERNS = new Map(
  ATTRIBUTES.map((name) => [name, new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`)] as const),
);

function attribute(tag: string, name: (typeof ATTRIBUTES)[number]): string | undefined {
  const match = PATTERNS.get(name)?.exec(tag);
  return match?.[1] ?? match?.[2];
}

/** Overpass says in a remark behind the objects that there would be more. */
function checkRemark(path: string, text: string): void {
  if (!/error/i.test(text)) return;
  throw new FarmError(
    "input",
    `${path}: Overpass broke off, so that it is incomplete: ${text.replaceAll(/\s+/g, " ").trim()}`,
    "ask again, for a smaller area or with a larger [timeout:…] and [maxsize:…]",
  );
}

/**
 * A map in XML as osmium reads it: in UTF-8, without what JOSM deleted. Where ways carry coordinates (Overpass' `out geom`,
 * `osmium add-locations-to-ways`), nodes of version 0 are made of them; a node without version is given the first, so that
 * it has precedence.
 *
 * @param seen is filled while it is read
 * @param reading the command that prints the XML, for a mend
 * @throws FarmError `input` where Overpass broke off, where the text is not in its encoding, or where the file holds changes
 */
export async function* readXml(
  path: string,
  source: AsyncIterable<Buffer>,
  seen: XmlSeen,
  reading: string,
): AsyncGenerator<Buffer> {
  let text = "";
  let broken = false;
  /** Names of the elements around the place. */
  const around: string[] = [];
  /** How many elements are around the one that is left out. */
  let leftOut = Number.POSITIVE_INFINITY;
  let object = "";
  let nodes: string[] = [];
  for await (const piece of decode(path, source)) {
    text += piece.text;
    broken ||= piece.broken;
    const out: string[] = [];
    let from = 0;
    let at = 0;
    for (;;) {
      const open = text.indexOf("<", at);
      const end = open < 0 ? -1 : endOfMarkup(text, open);
      if (end < 0) break;
      const tag = text.slice(open, end);
      const name = /^<([^\s/>]*)/.exec(tag)?.[1] as string;
      const depth = around.length;
      const isObject = depth === 1 && OBJECTS.has(name);
      if (isObject) object = `${name} ${attribute(tag, "id") ?? "without id"}`;
      if (broken && text.slice(at, end).includes("\uFFFD")) throw notUtf8(path, object, reading);
      if (name === "remark" && depth === 1 && !tag.endsWith("/>")) {
        const close = text.indexOf("</remark", end);
        if (close < 0) break;
        checkRemark(path, text.slice(end, close));
      }
      at = end;
      if (name === "?xml") {
        out.push(text.slice(from, open));
        from = end;
      }
      if (name.startsWith("!") || name.startsWith("?")) continue;
      if (name === "") {
        around.pop();
        if (around.length === leftOut) {
          leftOut = Number.POSITIVE_INFINITY;
          from = end;
        }
        if (around.length === 1 && nodes.length > 0) {
          out.push(text.slice(from, end), ...nodes);
          from = end;
          nodes = [];
        }
        continue;
      }
      if (name === "action" && depth === 1) {
        throw new FarmError(
          "input",
          `${path}: it holds changes between two times, no map`,
          "ask Overpass without [diff:…] or [adiff:…]",
        );
      }
      const deleted = isObject && attribute(tag, "action") === "delete";
      const within = depth > 1 && OBJECTS.has(around[1] as string);
      if (depth < leftOut && (deleted || (within && (depth > 2 || !PARTS.has(name))))) {
        if (deleted) seen.deleted++;
        out.push(text.slice(from, open));
        from = end;
        if (!tag.endsWith("/>")) leftOut = depth;
      } else if (depth < leftOut && isObject) {
        if (attribute(tag, "visible") === "false") seen.invisible = true;
        if (name === "node" && attribute(tag, "version") === undefined) {
          out.push(text.slice(from, open), '<node version="1"');
          from = open + "<node".length;
        }
      } else if (depth < leftOut && within && name === "nd") {
        const [ref, lat, lon] = (["ref", "lat", "lon"] as const).map((name) => attribute(tag, name));
        if (ref !== undefined && lat !== undefined && lon !== undefined) {
          seen.located = true;
          nodes.push(`<node id="${ref}" lat="${lat}" lon="${lon}"/>`);
        }
      }
      if (!tag.endsWith("/>")) around.push(name);
    }
    if (leftOut === Number.POSITIVE_INFINITY) out.push(text.slice(from, at));
    text = text.slice(at);
    yield Buffer.from(out.join(""));
  }
  if (broken) throw notUtf8(path, object, reading);
  yield Buffer.from(text);
}

/**
 * @param object e.g. `way 5`; empty where it is none
 * @param reading the command that prints the map as XML
 */
export function notUtf8(path: string, object: string, reading: string): FarmError {
  return new FarmError(
    "input",
    `${path}: ${object === "" ? "its text" : `a tag of ${object}`} is no UTF-8`,
    `without the wrong bytes: ${reading} | iconv -c -f UTF-8 -t UTF-8 > mended.osm`,
  );
}
