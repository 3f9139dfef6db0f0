import { h, sayMetres } from "./dom.ts";
import type { Found, Session } from "./session.ts";
import type { Sheets } from "./sheets.ts";
import { STRIPS, type StripName } from "./state.ts";

/** Tiles that are shown of a large selection. */
const MOST_SHOWN = 200;
const TITLES: Readonly<Record<StripName, string>> = {
  ...{
    neighbours: "Neighbours",
    calculator: "a − b + c",
    way: "From a to b",
    walk: "Walk",
    selection: "Selection",
  },
};
const STEP_MS = 700;

/** A row of tiles: what was found, in its order. Each can be pointed at, looked at, and dragged into the calculator. */
export function createStrip(session: Session, sheets: Sheets): HTMLElement {
  const { store, findings, hover, focus } = session;
  const tabs = STRIPS.map((name) =>
    h(
      "button",
      { role: "tab", type: "button", id: `tab-${name}`, "aria-controls": "strip" },
      [TITLES[name]],
      {
        onclick: () => store.set({ strip: name }),
        onkeydown: ({ key }) => {
          const step = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
          if (step === 0) return;
          const next = STRIPS[(STRIPS.indexOf(name) + step + STRIPS.length) % STRIPS.length] as StripName;
          store.set({ strip: next });
          document.getElementById(`tab-${next}`)?.focus();
        },
      },
    ),
  );
  const controls = h("div", { class: "strip-controls" });
  const list = h("ul", { class: "tiles" });
  const hint = h("p", { class: "hint" });
  const panel = h("div", { id: "strip", role: "tabpanel", class: "strip-panel" }, [hint, list]);
  store.watch(["strip"], ({ strip }) => {
    for (const [i, tab] of tabs.entries()) {
      tab.setAttribute("aria-selected", String(STRIPS[i] === strip));
      tab.tabIndex = STRIPS[i] === strip ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${strip}`);
    controls.replaceChildren(...controlsOf(session, strip));
  });
  let tiles = new Map<number, HTMLElement>();
  findings.watch(({ found, hint: text }) => {
    hint.textContent = text;
    hint.hidden = text === "";
    const shown = found.slice(0, MOST_SHOWN);
    tiles = new Map();
    list.replaceChildren(
      ...shown.map((each, i) => {
        const tile = tileOf(session, sheets, each, i);
        tiles.set(each.point, tile);
        return h("li", {}, [tile]);
      }),
      ...(found.length > shown.length
        ? [h("li", { class: "more" }, [`and ${found.length - shown.length} more`])]
        : []),
    );
  });
  const mark = (): void => {
    for (const [point, tile] of tiles) {
      tile.classList.toggle("hovered", point === hover.value);
      tile.classList.toggle("focused", point === focus.value?.point);
    }
  };
  for (const signal of [hover, focus, findings] as const) signal.watch(mark);
  return h("section", { class: "strip", "aria-label": "What was found" }, [
    h("div", { class: "strip-head" }, [
      h("div", { role: "tablist", class: "tabs", "aria-label": "What to find" }, tabs),
      controls,
    ]),
    panel,
  ]);
}

function tileOf(
  session: Session,
  sheets: Sheets,
  { point, distance, metres }: Found,
  rank: number,
): HTMLElement {
  const { points, hover } = session;
  const location = points.row[point] as number;
  const canvas = h("canvas", { width: 64, height: 64, "aria-hidden": "true" });
  sheets.draw(canvas, point).catch((error: Error) => session.message.set(error.message));
  const facts = [
    ...(distance === undefined ? [] : [distance.toFixed(2)]),
    ...(metres === undefined ? [] : [sayMetres(metres)]),
  ].join(" · ");
  const label = points.labelName(point) || points.kindName(point);
  return h(
    "button",
    {
      ...{ type: "button", class: "tile", draggable: "true", "data-location": location },
      title: `Location ${location} · ${label}${distance === undefined ? "" : "\nDistance in the space · on the ground"}`,
    },
    [
      canvas,
      h("span", { class: "said" }, [`${rank + 1}: location ${location}, `]),
      h("span", { class: "name" }, [label]),
      h("span", { class: "facts" }, [facts]),
    ],
    {
      onclick: () => session.focusPoint(point),
      onpointerenter: () => hover.set(point),
      onpointerleave: () => hover.set(undefined),
      onfocus: () => hover.set(point),
      onblur: () => hover.set(undefined),
      ondragstart: ({ dataTransfer }) => dataTransfer?.setData("text/plain", `location:${location}`),
    },
  );
}

function controlsOf(session: Session, strip: StripName): HTMLElement[] {
  const { store } = session;
  const number = (label: string, key: "k" | "apart", unit: string, most: number): HTMLElement => {
    const input = h(
      "input",
      { type: "number", min: key === "k" ? 1 : 0, max: most, value: store.state[key] },
      [],
      {
        onchange: () => {
          const value = Math.min(most, Math.max(key === "k" ? 1 : 0, Number(input.value) || 0));
          store.set({ [key]: value });
        },
      },
    );
    return h("label", { class: "field" }, [h("span", {}, [label]), input, unit]);
  };
  const apart = (): HTMLElement => number("apart", "apart", "m", 10_000_000);
  switch (strip) {
    case "neighbours":
    case "calculator":
      return [number("show", "k", "", 200), apart()];
    case "way": {
      const input = h(
        "input",
        { type: "range", min: 0, max: 1, step: 0.01, value: store.state.way, "aria-label": "From a to b" },
        [],
        {
          oninput: () => store.set({ way: Number(input.value) }),
        },
      );
      return [h("div", { class: "field way" }, ["a", input, "b"]), apart()];
    }
    case "walk":
      return [
        walker(session),
        h("button", { type: "button" }, ["Another"], {
          onclick: () => store.set({ seed: store.state.seed + 1 }),
        }),
        apart(),
      ];
    case "selection":
      return [h("button", { type: "button" }, ["Clear"], { onclick: () => store.set({ selection: [] }) })];
  }
}

/** Goes the walk jump by jump, in all views. */
function walker({ findings, hover, store }: Session): HTMLElement {
  const button = h("button", { type: "button", class: "primary" }, ["Go"], {
    onclick: () => {
      if (button.dataset.going !== undefined) stop();
      else {
        button.dataset.going = "yes";
        button.textContent = "Stop";
        step(0);
      }
    },
  });
  const stop = (): void => {
    delete button.dataset.going;
    button.textContent = "Go";
    hover.set(undefined);
  };
  const step = (jump: number): void => {
    const next = findings.value.found[jump];
    if (button.dataset.going === undefined) return;
    if (next === undefined || store.state.strip !== "walk" || !button.isConnected) stop();
    else {
      hover.set(next.point);
      setTimeout(() => step(jump + 1), STEP_MS);
    }
  };
  return button;
}
