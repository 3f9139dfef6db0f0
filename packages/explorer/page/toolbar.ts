import { choice, h } from "./dom.ts";
import type { Session } from "./session.ts";
import { ARRANGEMENTS, type ArrangementName, type State, type Tool } from "./state.ts";

const ARRANGEMENT_NAMES = { pca: "PCA", tsne: "t-SNE", umap: "UMAP" } as const;

/** What is shown, and how. */
export function createToolbar(
  session: Session,
  { search, table, picture }: { search: HTMLElement; table: () => void; picture: () => void },
): HTMLElement {
  const { points, store } = session;
  const { about } = points;
  const bound = (
    label: string,
    key: "colour" | "kind" | "label",
    options: readonly (readonly [string, string])[],
  ): HTMLElement => {
    const { element, set } = choice(label, options, (value) => store.set({ [key]: value }));
    store.watch([key], (state) => set(state[key]));
    return element;
  };
  const colours: [string, string][] = [
    ...([
      ["pca", "principal axes"],
      ["kind", "kind"],
      ["region", "region"],
    ] as [string, string][]),
    ...(about.labels.length > 0 ? ([["label", "label"]] as [string, string][]) : []),
    ...Array.from({ length: about.size }, (_, i): [string, string] => [`v${i}`, `number ${i + 1}`]),
  ];
  const within = h("input", { type: "number", min: 0, step: 100, placeholder: "any" }, [], {
    onchange: () => store.set({ within: Math.max(0, Number(within.value) || 0) }),
  });
  store.watch(["within"], (state) => {
    within.value = state.within === 0 ? "" : String(state.within);
  });
  return h("header", { class: "toolbar" }, [
    h("h1", {}, [about.dataset, h("span", {}, [about.model])]),
    search,
    bound("colour", "colour", colours),
    bound("kind", "kind", [["", "all"], ...about.kinds.map((kind): [string, string] => [kind, kind])]),
    ...(about.labels.length > 0
      ? [
          bound("label", "label", [
            ["", "all"],
            ...about.labels.map((label): [string, string] => [label, label]),
          ]),
        ]
      : []),
    h("label", { class: "field", title: "Only within so many metres of what is looked at" }, [
      h("span", {}, ["within"]),
      within,
      "m",
    ]),
    radios(
      "Arrangement",
      ARRANGEMENTS.map((name) => [name, ARRANGEMENT_NAMES[name]]),
      session,
      "arrangement",
    ),
    radios(
      "Tool",
      [
        ["look", "Look"],
        ["box", "Box"],
        ["lasso", "Lasso"],
      ],
      session,
      "tool",
    ),
    toggle(session),
    h("div", { class: "group" }, [
      h("button", { type: "button", title: "What is selected, or all that is shown, as a table" }, ["CSV"], {
        onclick: table,
      }),
      h("button", { type: "button", title: "Both views as a picture" }, ["PNG"], { onclick: picture }),
    ]),
  ]);
}

function radios<K extends "arrangement" | "tool">(
  label: string,
  options: readonly (readonly [ArrangementName | Tool, string])[],
  { store }: Session,
  key: K,
): HTMLElement {
  const buttons = options.map(([value, text]) =>
    h("button", { type: "button", "data-value": value }, [text], {
      onclick: () => store.set({ [key]: value } as Partial<State>),
    }),
  );
  store.watch([key], (state) => {
    for (const button of buttons)
      button.setAttribute("aria-pressed", String(button.dataset.value === state[key]));
  });
  return h("div", { class: "group", role: "group", "aria-label": label }, buttons);
}

function toggle({ store }: Session): HTMLElement {
  const button = h(
    "button",
    { type: "button", title: "Tiles instead of discs where points are near" },
    ["Tiles"],
    {
      onclick: () => store.set({ sprites: !store.state.sprites }),
    },
  );
  store.watch(["sprites"], ({ sprites }) => button.setAttribute("aria-pressed", String(sprites)));
  return button;
}
