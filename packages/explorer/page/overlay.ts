import { h } from "./dom.ts";
import type { Session } from "./session.ts";

export interface Place {
  x: number;
  y: number;
}

/** What lies over a view: rings around what is looked at and found, the way of a walk, and the box or lasso being drawn. */
export interface Overlay {
  readonly canvas: HTMLCanvasElement;
  draw(): void;
}

interface OverlayOptions {
  /** Where a point is seen, CSS pixels; undefined where it is not. */
  place(point: number): Place | undefined;
  /** Where what is looked at is seen. */
  focusPlace(): Place | undefined;
}

export function createOverlay(
  host: HTMLElement,
  session: Session,
  { place, focusPlace }: OverlayOptions,
): Overlay {
  const canvas = h("canvas", { class: "overlay", "aria-hidden": "true" });
  host.append(canvas);
  const { findings, hover, visible, focus } = session;
  const draw = (): void => {
    const context = emptied(canvas);
    if (context === null) return;
    const colour = getComputedStyle(host).getPropertyValue("--mark");
    const paper = getComputedStyle(host).getPropertyValue("--paper");
    const ring = (at: Place | undefined, radius: number, width: number): void => {
      if (at === undefined) return;
      for (const [stroke, extra] of [
        [paper, 2.5],
        [colour, 0],
      ] as const) {
        context.beginPath();
        context.arc(at.x, at.y, radius, 0, 2 * Math.PI);
        context.strokeStyle = stroke;
        context.lineWidth = width + extra;
        context.stroke();
      }
    };
    const { found, path } = findings.value;
    const rings = session.store.state.strip === "selection" ? [] : found;
    const centre = focusPlace();
    context.lineWidth = 1.2;
    context.strokeStyle = colour;
    context.globalAlpha = 0.55;
    context.beginPath();
    let before = centre;
    for (const { point } of rings) {
      const at = place(point);
      if (before !== undefined && at !== undefined) {
        context.moveTo(before.x, before.y);
        context.lineTo(at.x, at.y);
      }
      before = path ? at : centre;
    }
    context.stroke();
    context.globalAlpha = 1;
    for (const { point } of rings) if (visible.value[point] === 1 || path) ring(place(point), 6, 1.5);
    if (focus.value !== undefined) ring(centre, 9, 3);
    if (hover.value !== undefined) ring(place(hover.value), 8, 2);
  };
  return { canvas, draw };
}

/** Makes a canvas as sharp as the screen, and empty; its units are CSS pixels. */
function emptied(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const { clientWidth, clientHeight } = canvas;
  const ratio = Math.min(2, devicePixelRatio);
  const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, clientWidth, clientHeight);
  return context;
}
