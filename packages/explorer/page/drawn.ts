import { h } from "./dom.ts";
import type { Place } from "./overlay.ts";
import type { Session } from "./session.ts";

/** Ends of a drag that chooses nothing, pixels. */
const SHORTEST = 4;

/**
 * Lets a box or a lasso be drawn over a view while such a tool is chosen, and selects the points in it. With Shift they are added
 * to what is selected.
 *
 * @param place where a point is seen
 */
export function letDraw(
  host: HTMLElement,
  session: Session,
  place: (point: number) => Place | undefined,
): void {
  const canvas = h("canvas", { class: "drawn", "aria-hidden": "true" });
  host.append(canvas);
  session.store.watch(["tool"], ({ tool }) => canvas.classList.toggle("active", tool !== "look"));
  let line: Place[] = [];
  const here = (event: PointerEvent): Place => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const shape = (): Place[] => {
    const [first, last] = [line[0], line.at(-1)];
    if (session.store.state.tool === "lasso" || first === undefined || last === undefined) return line;
    return [first, { x: last.x, y: first.y }, last, { x: first.x, y: last.y }];
  };
  const show = (): void => {
    [canvas.width, canvas.height] = [canvas.clientWidth, canvas.clientHeight];
    const context = canvas.getContext("2d");
    const corners = shape();
    if (context === null || corners.length < 2) return;
    const colour = getComputedStyle(host).getPropertyValue("--accent");
    context.beginPath();
    for (const { x, y } of corners) context.lineTo(x, y);
    context.closePath();
    [context.strokeStyle, context.fillStyle, context.lineWidth] = [colour, colour, 1.5];
    context.stroke();
    context.globalAlpha = 0.15;
    context.fill();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    line = [here(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (line.length === 0) return;
    line.push(here(event));
    show();
  });
  canvas.addEventListener("pointerup", (event) => {
    const corners = shape();
    line = [];
    show();
    if (extentOf(corners) >= SHORTEST) select(session, corners, place, event.shiftKey);
  });
  canvas.addEventListener("pointercancel", () => {
    line = [];
    show();
  });
}

function extentOf(corners: readonly Place[]): number {
  const spread = (values: number[]): number => Math.max(...values) - Math.min(...values);
  return corners.length < 3
    ? 0
    : Math.min(spread(corners.map(({ x }) => x)), spread(corners.map(({ y }) => y)));
}

function select(
  { points, store, visible, message }: Session,
  corners: readonly Place[],
  place: (point: number) => Place | undefined,
  add: boolean,
): void {
  const chosen = new Set(add ? store.state.selection : []);
  for (let point = 0; point < points.n; point++) {
    if (visible.value[point] === 0) continue;
    const at = place(point);
    if (at !== undefined && within(at, corners)) chosen.add(points.row[point] as number);
  }
  store.set({ selection: [...chosen].sort((a, b) => a - b), strip: "selection" });
  message.set(`${chosen.size} locations are selected.`);
}

/** Whether a place lies within a polygon: a ray from it crosses its sides an odd number of times. */
function within({ x, y }: Place, corners: readonly Place[]): boolean {
  let inside = false;
  let before = corners.at(-1) as Place;
  for (const corner of corners) {
    const crosses = corner.y > y !== before.y > y;
    if (crosses && x < ((before.x - corner.x) * (y - corner.y)) / (before.y - corner.y) + corner.x)
      inside = !inside;
    before = corner;
  }
  return inside;
}
