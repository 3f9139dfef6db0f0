import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { channelsOfVenues, loadProfile, parseProfile } from "../src/index.ts";
import { flexStyle } from "../src/style.ts";

const STYLE = fileURLToPath(new URL("../../../styles/loc2vec.yaml", import.meta.url));

const small = (draw: string, extra = "") => `
name: small
version: 1
channels:
  - name: roads
    title: Roads
    colour: [1, 2, 3]
    z: 1
    rules:
      - id: street
        geometry: line
        match: { highway: residential }
        draw: ${draw}
${extra}
labels: { shop: "*" }
`;

describe("the shipped profile", () => {
  test("has 12 channels, with rules numbered through", async () => {
    const { channels } = await loadProfile(STYLE);
    expect(channels).toHaveLength(12);
    const rules = channels.flatMap((channel) => channel.rules);
    expect(rules.map((rule) => rule.index)).toEqual(rules.map((_, at) => at));
    for (const kind of ["visit", "transport"]) expect(rules.some((rule) => rule.sample === kind)).toBe(true);
  });
});

test("venues of the shipped profile are drawn in one channel; they change neither pixels nor import", async () => {
  const profile = await loadProfile(STYLE);
  expect(Object.keys(profile.venues).length).toBeGreaterThan(5);
  expect(channelsOfVenues(profile).map((at) => profile.channels[at]?.name)).toEqual(["amenities_shops"]);
  const text = small("{ width: 3, intensity: 9 }");
  const [plain, more] = [text, `${text}venues: { road: { highway: residential } }`].map((each) =>
    parseProfile(each, "a.yaml"),
  );
  expect([more?.hash, more?.importHash]).toEqual([plain?.hash, plain?.importHash]);
  expect(more && channelsOfVenues(more)).toEqual([0]);
});

test("modes of the shipped profile stand at rules of transport; they change neither pixels nor import", async () => {
  const { channels } = await loadProfile(STYLE);
  const rules = channels.flatMap((channel) => channel.rules);
  expect([...new Set(rules.flatMap(({ mode }) => mode ?? []))]).toEqual([
    "motorway",
    "main road",
    "street",
    "busway",
    "tram",
    "light rail",
    "railway",
  ]);
  // What runs in a tunnel may be any of them.
  expect(rules.filter(({ mode, sample }) => sample === "transport" && mode === undefined)).toMatchObject([
    { id: "rail_tunnel" },
  ]);
  const text = small("{ width: 3, intensity: 9 }").replace("draw:", "sample: transport\n        draw:");
  const moded = text.replace("draw:", "mode: main road\n        draw:");
  const [plain, more] = [text, moded].map((each) => parseProfile(each, "a.yaml"));
  expect(more?.channels[0]?.rules[0]?.mode).toBe("main road");
  expect([more?.hash, more?.importHash]).toEqual([plain?.hash, plain?.importHash]);
  expect(() => parseProfile(moded.replace("sample: transport", ""), "a.yaml")).toThrowError(
    "a.yaml, channel roads, rule street, mode: nothing travels along it",
  );
  expect(() => parseProfile(moded.replace("main road", "a,b"), "a.yaml")).toThrowError(
    /rule street, mode: use words of a-z/,
  );
});

describe("parseProfile", () => {
  test("a width changes the hash of the pixels, not that of the import", () => {
    const thin = parseProfile(small("{ width: 3, intensity: 9 }"), "a.yaml");
    const wide = parseProfile(small("{ width: 4, intensity: 9 }"), "a.yaml");
    expect(wide.hash).not.toBe(thin.hash);
    expect(wide.importHash).toBe(thin.importHash);
  });

  test("whether a line takes relations changes both", () => {
    const text = small("{ width: 3, intensity: 9 }");
    const a = parseProfile(text, "a.yaml");
    const b = parseProfile(text.replace("geometry: line", "geometry: line\n        members: true"), "a.yaml");
    expect([b.hash === a.hash, b.importHash === a.importHash]).toEqual([false, false]);
    expect(flexStyle(a)).toContain("members = false");
    expect(flexStyle(b)).toContain("members = true");
  });

  test("a match changes both, a title neither", () => {
    const text = small("{ width: 3, intensity: 9 }");
    const a = parseProfile(text, "a.yaml");
    const b = parseProfile(text.replace("residential", "service"), "a.yaml");
    const c = parseProfile(text.replace("title: Roads", "title: Streets"), "a.yaml");
    expect([b.hash === a.hash, b.importHash === a.importHash]).toEqual([false, false]);
    expect([c.hash, c.importHash]).toEqual([a.hash, a.importHash]);
  });

  test.each([
    ["{ width: 3, intensity: 300 }", "", /^a\.yaml, channel roads, rule street, draw\.intensity: /],
    ["{ intensity: 9 }", "", /channel roads, rule street, draw\.width: /],
    ["{ width: 3, intensity: 9, colour: red }", "", /channel roads, rule street, draw: .*colour/],
    [
      "{ width: 3, intensity: 9 }",
      "      - id: street\n        geometry: point\n        match: { shop: '*' }\n        draw: { radius: 1, intensity: 1 }",
      /two rules have the id street/,
    ],
    ["[", "", /a\.yaml: not YAML/],
  ])("draw %s %s is refused by name", (draw, extra, message) => {
    expect(() => parseProfile(small(draw, extra), "a.yaml")).toThrowError(message);
  });

  test("a missing file is named", async () => {
    await expect(loadProfile("/nowhere/x.yaml")).rejects.toThrowError(/\/nowhere\/x\.yaml/);
  });
});

test("flexStyle quotes what could leave a Lua string", () => {
  const text = small("{ width: 3, intensity: 9 }").replace("residential", `"a'] = os.exit() --"`);
  const lua = flexStyle(parseProfile(text, "a.yaml"));
  expect(lua).toContain("['a\\039\\093 \\061 os.exit\\040\\041 --'] = true");
});

test("the first key of a match counts: it tells areas from lines", () => {
  const match = (keys: string) =>
    parseProfile(small("{ width: 3, intensity: 9 }").replace("{ highway: residential }", keys), "a.yaml");
  expect(match("{ highway: a, tunnel: b }").importHash).not.toBe(
    match("{ tunnel: b, highway: a }").importHash,
  );
});
