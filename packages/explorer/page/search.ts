import { h } from "./dom.ts";
import type { Session } from "./session.ts";
import type { Spot } from "./state.ts";

const MOST_LISTED = 8;

/** Finds locations by number, coordinates, label or kind. */
export function createSearch(session: Session): { element: HTMLElement; focus(): void } {
  const { store, points } = session;
  const list = h("ul", { class: "found", hidden: true });
  const close = (): void => {
    list.hidden = true;
  };
  const input = h(
    "input",
    {
      type: "search",
      placeholder: "Number, lon, lat, label or kind",
      "aria-label": "Search: number, longitude and latitude, label or kind",
      autocomplete: "off",
    },
    [],
    {
      oninput: () => show(),
      onkeydown: (event) => {
        if (event.key === "Escape") close();
        if (event.key === "ArrowDown") list.querySelector("button")?.focus();
      },
    },
  );
  const entry = (text: string, action: () => void): HTMLElement =>
    h("li", {}, [
      h("button", { type: "button" }, [text], {
        onclick: () => {
          action();
          close();
        },
      }),
    ]);
  const show = (): void => {
    const text = input.value.trim();
    list.hidden = text === "";
    if (text === "") return;
    const spot = readSpot(text, session);
    if (spot !== undefined) {
      list.replaceChildren(entry(`Look at ${session.nameOf(spot)}`, () => store.set({ focus: spot })));
      return;
    }
    const matches = matchesOf(session, text.toLowerCase());
    list.replaceChildren(
      ...(matches.length === 0 ? [h("li", { class: "muted" }, ["Nothing is called that."])] : []),
      ...(matches.length > 1
        ? [
            entry(`Select all ${matches.length}`, () => {
              store.set({
                selection: matches.map((point) => points.row[point] as number),
                strip: "selection",
              });
            }),
          ]
        : []),
      ...matches
        .slice(0, MOST_LISTED)
        .map((point) =>
          entry(
            `${session.nameOf(session.spotOf(point))}: ${points.labelName(point) || points.kindName(point)}`,
            () => session.focusPoint(point),
          ),
        ),
    );
  };
  const form = h("form", { class: "search", role: "search" }, [input, list], {
    onsubmit: (event) => {
      event.preventDefault();
      show();
      list.querySelector("button")?.click();
    },
    onfocusout: ({ relatedTarget }) => {
      if (!form.contains(relatedTarget as Node | null)) close();
    },
  });
  return { element: form, focus: () => input.focus() };
}

/** A location's number, or longitude and latitude; swapped where they lie among the locations only so. */
function readSpot(text: string, { points }: Session): Spot | undefined {
  if (/^\d+$/.test(text) && points.pointOf(Number(text)) !== undefined) return { location: Number(text) };
  const [, first, second] = /^(-?\d+(?:\.\d+)?)[,;\s]+(-?\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (first === undefined) return undefined;
  const [west, south, east, north] = points.about.box;
  const inside = (lon: number, lat: number): boolean =>
    lon >= west && lon <= east && lat >= south && lat <= north;
  const [a, b] = [Number(first), Number(second)];
  return !inside(a, b) && inside(b, a) ? { lon: b, lat: a } : { lon: a, lat: b };
}

function matchesOf({ points, visible }: Session, text: string): number[] {
  const labels = new Set(
    points.about.labels.flatMap((label, i) => (label.toLowerCase().includes(text) ? [i] : [])),
  );
  const kinds = new Set(
    points.about.kinds.flatMap((kind, i) => (kind.toLowerCase().includes(text) ? [i] : [])),
  );
  const matches: number[] = [];
  for (let point = 0; point < points.n; point++) {
    if (visible.value[point] === 0) continue;
    if (labels.has(points.label[point] as number) || kinds.has(points.kind[point] as number))
      matches.push(point);
  }
  return matches;
}
