import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Profile, TagMatch } from "./profile.ts";

const RUNTIME = fileURLToPath(new URL("../../../styles/osm2pgsql.lua", import.meta.url));

/** A Lua string literal: decimal escapes for all but plain characters, so nothing can leave the quotes. */
function quote(text: string): string {
  const escaped = [...Buffer.from(text, "utf8")].map((byte) => {
    const char = String.fromCharCode(byte);
    return /[\w :;.,/+-]/.test(char) ? char : `\\${String(byte).padStart(3, "0")}`;
  });
  return `'${escaped.join("")}'`;
}

function table(match: TagMatch): string {
  const entries = Object.entries(match).map(([key, values]) => {
    const wanted =
      values === true ? "true" : `{ ${values.map((value) => `[${quote(value)}] = true`).join(", ")} }`;
    return `[${quote(key)}] = ${wanted}`;
  });
  return `{ ${entries.join(", ")} }`;
}

/**
 * The osm2pgsql flex style (Lua, osm2pgsql ≥ 1.8) that fills `feature` and `label` from the profile's matching rules:
 * the rules as a table, then the hand-written runtime `styles/osm2pgsql.lua`.
 *
 * @param schema the PostgreSQL schema to create the tables in
 */
export function flexStyle(profile: Profile, schema = "farm"): string {
  const rules = profile.channels.flatMap((channel) =>
    channel.rules.map(
      (rule) =>
        `    { index = ${rule.index}, geometry = ${quote(rule.geometry)}, key = ${quote(Object.keys(rule.match)[0] ?? "")}, ` +
        `members = ${rule.geometry === "line" && rule.members}, match = ${table(rule.match)}, except = ${table(rule.except)} }, -- ${channel.name}: ${rule.id}`,
    ),
  );
  return `local profile = {
  schema = ${quote(schema)},
  rules = {
${rules.join("\n")}
  },
  labels = ${table(profile.labels)},
}

${readFileSync(RUNTIME, "utf8")}`;
}
