import { h } from "./dom.ts";
import type { Session } from "./session.ts";

/** What the colours mean. */
export function createLegend({ appearance }: Session): HTMLElement {
  const element = h("div", { class: "legend", role: "note", "aria-label": "Colours" });
  appearance.watch(({ legend: { title, entries, ramp } }) => {
    const swatch = (colour: string): HTMLElement => {
      const made = h("i");
      made.style.background = colour;
      return made;
    };
    element.replaceChildren(
      h("strong", {}, [title]),
      ...(ramp === undefined ? [] : [h("span", { class: "ramp" }, [ramp.low, h("i"), ramp.high])]),
      ...entries.map(({ name, colour }) => h("span", {}, [swatch(colour), name])),
    );
  });
  return element;
}
