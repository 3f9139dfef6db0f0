import { h } from "./dom.ts";
import type { Session } from "./session.ts";
import type { Sheets } from "./sheets.ts";
import type { Spot } from "./state.ts";

const TERMS = ["a", "b", "c"] as const;
const SIGNS = { a: "", b: "−", c: "+" } as const;

/** Three places to calculate with, filled by dragging tiles there or by the buttons. */
export function createCalculator(session: Session, sheets: Sheets): HTMLElement {
  const { store, focus } = session;
  const put = (term: (typeof TERMS)[number], spot: Spot | undefined): void => {
    const { strip } = store.state;
    store.set({ [term]: spot, strip: strip === "way" ? "way" : "calculator" });
  };
  const slots = TERMS.map((term) => {
    const canvas = h("canvas", { width: 64, height: 64, "aria-hidden": "true" });
    const name = h("span", { class: "name" });
    const button = h(
      "button",
      { type: "button", class: "slot", "data-term": term },
      [canvas, h("span", { class: "term" }, [term]), name],
      {
        onclick: () => put(term, focus.value?.spot),
        ondragover: (event) => {
          event.preventDefault();
          button.classList.add("over");
        },
        ondragleave: () => button.classList.remove("over"),
        ondrop: (event) => {
          event.preventDefault();
          button.classList.remove("over");
          const spot = readDragged(event.dataTransfer?.getData("text/plain") ?? "");
          if (spot !== undefined) put(term, spot);
        },
        onkeydown: ({ key }) => {
          if (key === "Delete" || key === "Backspace") put(term, undefined);
        },
      },
    );
    store.watch([term], (state) => {
      const spot = state[term];
      const point =
        spot !== undefined && "location" in spot ? session.points.pointOf(spot.location) : undefined;
      button.classList.toggle("filled", spot !== undefined);
      name.textContent = spot === undefined ? "empty" : session.nameOf(spot).replace("Location ", "");
      button.title = `Puts what is looked at into ${term}`;
      if (point === undefined) canvas.getContext("2d")?.clearRect(0, 0, 64, 64);
      else sheets.draw(canvas, point).catch((error: Error) => session.message.set(error.message));
    });
    return h("div", { class: "term-with-sign" }, [
      h("span", { class: "sign", "aria-hidden": "true" }, [SIGNS[term]]),
      button,
    ]);
  });
  return h("section", { class: "calculator", "aria-label": "Calculator" }, [
    h("h3", {}, ["Calculate with places"]),
    h("div", { class: "slots" }, slots),
    h("p", { class: "muted" }, [
      "Drag tiles into a, b and c, or click to put there what is looked at. Delete empties.",
    ]),
  ]);
}

/** What the tiles say of themselves when they are dragged. */
function readDragged(text: string): Spot | undefined {
  const [, location] = /^location:(\d+)$/.exec(text) ?? [];
  if (location !== undefined) return { location: Number(location) };
  const [, lon, lat] = /^spot:(-?[\d.]+),(-?[\d.]+)$/.exec(text) ?? [];
  return lon === undefined ? undefined : { lon: Number(lon), lat: Number(lat) };
}
