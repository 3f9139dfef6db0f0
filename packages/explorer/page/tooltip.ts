import { h } from "./dom.ts";
import type { Session } from "./session.ts";
import type { Sheets } from "./sheets.ts";

/** Beside the pointer: the picture of the point under it, and which location it is. */
export function createTooltip(session: Session, sheets: Sheets): HTMLElement {
  const { points, hover } = session;
  const canvas = h("canvas", { width: 96, height: 96 });
  const name = h("strong");
  const facts = h("span");
  const tip = h("div", { class: "tooltip", "aria-hidden": "true", hidden: true }, [canvas, name, facts]);
  addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
    const left = x + 150 > innerWidth ? x - 130 : x + 16;
    const top = y + 170 > innerHeight ? y - 160 : y + 16;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  });
  hover.watch((point) => {
    tip.hidden = point === undefined;
    if (point === undefined) return;
    const location = String(points.row[point]);
    name.textContent = `Location ${location}`;
    facts.textContent = points.labelName(point) || points.kindName(point);
    tip.dataset.location = location;
    delete canvas.dataset.point;
    sheets.draw(canvas, point).catch((error: Error) => session.message.set(error.message));
  });
  return tip;
}
