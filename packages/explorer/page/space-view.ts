import { PerspectiveCamera, Scene, Vector3, WebGLRenderer, WebGLRenderTarget } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { Arranging } from "../src/about.ts";
import { type Cloud, createCloud } from "./cloud.ts";
import { h } from "./dom.ts";
import { letDraw } from "./drawn.ts";
import { createOverlay, type Place } from "./overlay.ts";
import type { Session } from "./session.ts";
import type { Sheets } from "./sheets.ts";
import { createAtlas } from "./sprites.ts";
import type { ArrangementName } from "./state.ts";

const MOVE_MS = 900;
/** After the eye has come to rest, so long, the nearest points get their pictures. */
const REST_MS = 150;
const ABOUT =
  "Space of the embeddings. Arrow keys turn it, plus and minus go nearer and farther, Enter looks at the point in its middle.";
const FIRST_EYE = [1.4, 0.8, 1.9, 0, 0, 0];

export interface SpaceView {
  picture(): HTMLCanvasElement;
}

/** The points in three dimensions. */
export function openSpaceView(host: HTMLElement, session: Session, sheets: Sheets): SpaceView {
  const { points, store, hover, focus, findings, appearance } = session;
  const { renderer, canvas, camera, controls } = openStage(host, store.state.eye);
  const atlas = createAtlas(sheets);
  const cloud = createCloud(points.n, atlas);
  const scene = new Scene().add(cloud.seen);
  const seat = new Vector3();
  const place = (point: number): Place | undefined => {
    cloud.at(point, seat).project(camera);
    if (seat.z > 1) return undefined;
    return { x: ((seat.x + 1) / 2) * host.clientWidth, y: ((1 - seat.y) / 2) * host.clientHeight };
  };
  const overlay = createOverlay(host, session, {
    place,
    focusPlace: () => (focus.value?.point === undefined ? undefined : place(focus.value.point)),
  });
  const paint = (): void => {
    const { clientWidth: width, clientHeight: height } = host;
    const paper = getComputedStyle(host).getPropertyValue("--space").trim();
    renderer.setClearColor(paper);
    cloud.setView(width, height, rgbOf(paper));
    renderer.render(scene, camera);
  };
  let asked = false;
  const redraw = (): void => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      paint();
      overlay.draw();
    });
  };
  const rest = createRest(() => {
    store.set({ eye: [...camera.position.toArray(), ...controls.target.toArray()] });
    if (!store.state.sprites) return;
    atlas.show(
      nearestOf(session, camera, (point) => cloud.at(point, seat)),
      cloud.slots,
      () => {
        cloud.touchSlots();
        redraw();
      },
    );
  });
  const changed = (): void => {
    redraw();
    rest();
  };
  controls.addEventListener("change", changed);
  whenResized(host, renderer, camera, changed);
  appearance.watch(({ rgba }) => {
    cloud.setAppearance(rgba);
    changed();
  });
  store.watch(["sprites"], ({ sprites }) => {
    cloud.setSprites(sprites);
    changed();
  });
  for (const signal of [findings, focus, hover] as const) signal.watch(redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const pick = createPicker(renderer, cloud, camera);
  letPick(canvas, session, pick);
  letTurn(canvas, controls, camera, () => {
    const point = pick(host.clientWidth / 2, host.clientHeight / 2);
    if (point !== undefined) session.focusPoint(point);
  });
  letDraw(host, session, place);
  arrange(host, session, cloud, changed);
  return {
    picture() {
      paint();
      return canvas;
    },
  };
}

/** What draws, the eye, and the hand that moves it. */
function openStage(host: HTMLElement, kept: readonly number[]) {
  // Quads lie along the pixels, and discs end where the shader says: more samples of a pixel would show nothing more.
  const renderer = new WebGLRenderer({ antialias: false, preserveDrawingBuffer: true });
  renderer.setPixelRatio(Math.min(2, devicePixelRatio));
  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", ABOUT);
  host.append(canvas);
  const camera = new PerspectiveCamera(45, 1, 0.01, 50);
  const controls = new OrbitControls(camera, canvas);
  const eye = kept.length === 6 ? kept : FIRST_EYE;
  camera.position.fromArray(eye, 0);
  controls.target.fromArray(eye, 3);
  controls.update();
  return { renderer, canvas, camera, controls };
}

function whenResized(
  host: HTMLElement,
  renderer: WebGLRenderer,
  camera: PerspectiveCamera,
  changed: () => void,
): void {
  new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = host;
    if (width === 0 || height === 0) return;
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
    changed();
  }).observe(host);
}

/** Red, green and blue, 0 to 1, of `#rrggbb`. */
function rgbOf(hex: string): [number, number, number] {
  const part = (at: number): number => Number.parseInt(hex.slice(at, at + 2), 16) / 255;
  return [part(1), part(3), part(5)];
}

function createRest(action: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, REST_MS);
  };
}

/** Points that are shown in full and stand in front of the eye, the nearest first. */
function nearestOf(
  { points, appearance }: Session,
  camera: PerspectiveCamera,
  at: (point: number) => Vector3,
): number[] {
  const { rgba } = appearance.value;
  const far = new Float32Array(points.n);
  const seen: number[] = [];
  for (let point = 0; point < points.n; point++) {
    if (rgba[4 * point + 3] !== 255) continue;
    const place = at(point);
    far[point] = place.distanceTo(camera.position);
    place.project(camera);
    if (Math.abs(place.x) < 1.1 && Math.abs(place.y) < 1.1 && place.z < 1) seen.push(point);
  }
  return seen.sort((a, b) => (far[a] as number) - (far[b] as number));
}

type Pick = (x: number, y: number) => number | undefined;

/** Tells which point is seen at a pixel: that pixel alone is drawn, with numbers for colours. */
function createPicker(renderer: WebGLRenderer, cloud: Cloud, camera: PerspectiveCamera): Pick {
  const scene = new Scene().add(cloud.numbered);
  const target = new WebGLRenderTarget(1, 1);
  const pixel = new Uint8Array(4);
  return (x, y) => {
    const { clientWidth: width, clientHeight: height } = renderer.domElement;
    if (width === 0) return undefined;
    camera.setViewOffset(width, height, x, y, 1, 1);
    renderer.setRenderTarget(target);
    renderer.setClearColor(0x000000, 0);
    renderer.clear();
    cloud.withOnePixel(() => renderer.render(scene, camera));
    renderer.readRenderTargetPixels(target, 0, 0, 1, 1, pixel);
    renderer.setRenderTarget(null);
    camera.clearViewOffset();
    const told = (pixel[0] as number) + 256 * (pixel[1] as number) + 65_536 * (pixel[2] as number);
    return told === 0 ? undefined : told - 1;
  };
}

/** Pointing shows, and clicking looks at, the point under the pointer. */
function letPick(canvas: HTMLCanvasElement, session: Session, pick: Pick): void {
  let [down, last] = [undefined as Place | undefined, undefined as PointerEvent | undefined];
  canvas.addEventListener("pointerdown", ({ offsetX: x, offsetY: y }) => {
    down = { x, y };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons !== 0) return;
    if (last === undefined)
      requestAnimationFrame(() => {
        if (last !== undefined) session.hover.set(pick(last.offsetX, last.offsetY));
        last = undefined;
      });
    last = event;
  });
  canvas.addEventListener("pointerleave", () => {
    last = undefined;
    session.hover.set(undefined);
  });
  canvas.addEventListener("click", ({ offsetX: x, offsetY: y }) => {
    if (down === undefined || Math.hypot(x - down.x, y - down.y) > 4) return;
    const point = pick(x, y);
    if (point !== undefined) session.focusPoint(point);
  });
}

/** Turns and approaches by the keyboard. */
function letTurn(
  canvas: HTMLCanvasElement,
  controls: OrbitControls,
  camera: PerspectiveCamera,
  choose: () => void,
): void {
  const up = new Vector3(0, 1, 0);
  canvas.addEventListener("keydown", (event) => {
    const arm = camera.position.clone().sub(controls.target);
    const side = new Vector3().crossVectors(up, arm).normalize();
    if (event.key === "ArrowLeft") arm.applyAxisAngle(up, -0.12);
    else if (event.key === "ArrowRight") arm.applyAxisAngle(up, 0.12);
    else if (event.key === "ArrowUp") arm.applyAxisAngle(side, -0.12);
    else if (event.key === "ArrowDown") arm.applyAxisAngle(side, 0.12);
    else if (event.key === "+" || event.key === "=") arm.multiplyScalar(0.85);
    else if (event.key === "-") arm.multiplyScalar(1 / 0.85);
    else if (event.key === "Enter") return choose();
    else return;
    event.preventDefault();
    camera.position.copy(controls.target).add(arm);
    controls.update();
  });
}

/** Brings the points to where the chosen arrangement has them. */
function arrange(host: HTMLElement, session: Session, cloud: Cloud, redraw: () => void): void {
  const { points, source, store, message } = session;
  const note = h("p", { class: "note", role: "status", hidden: true });
  host.append(note);
  const known = new Map<ArrangementName, Float32Array>([["pca", unit(points.pca)]]);
  let [shown, turn] = [false, 0];
  const tell = (text: string): void => {
    note.textContent = text;
    note.hidden = text === "";
  };
  store.watch(["arrangement"], async ({ arrangement }) => {
    const own = ++turn;
    try {
      const positions =
        known.get(arrangement) ??
        unit(
          await source.arrangement(
            arrangement as "tsne" | "umap",
            (progress) => own === turn && tell(say(arrangement, progress)),
          ),
        );
      known.set(arrangement, positions);
      if (own !== turn) return;
      tell("");
      cloud.move(positions);
      const still = !shown || matchMedia("(prefers-reduced-motion: reduce)").matches;
      shown = true;
      host.dataset.arrangement = arrangement;
      glide(still ? 0 : MOVE_MS, (share) => {
        cloud.setMoved(share);
        redraw();
        return own === turn;
      });
    } catch (error) {
      if (own !== turn) return;
      tell("");
      message.set((error as Error).message);
      if (shown) return;
      store.set({ arrangement: "pca" });
    }
  });
}

function say(arrangement: ArrangementName, { stage, share }: Arranging): string {
  const name = arrangement === "tsne" ? "t-SNE" : "UMAP";
  if (stage === "waiting") return `${name}: finding neighbours …`;
  return `${name}: ${Math.round(100 * share)} % ${stage === "arranging" ? "arranged" : "placed"}`;
}

function glide(ms: number, step: (share: number) => boolean): void {
  const begin = performance.now();
  const frame = (): void => {
    const share = ms === 0 ? 1 : Math.min(1, (performance.now() - begin) / ms);
    if (step(share * share * (3 - 2 * share)) && share < 1) requestAnimationFrame(frame);
  };
  frame();
}

/** About the middle of where nearly all lie, and so that these lie within a ball of radius 1. @param positions float32 [n, 3] */
function unit(positions: Float32Array): Float32Array {
  const n = positions.length / 3;
  const middle = [0, 1, 2].map((axis) => {
    const sorted = Float32Array.from({ length: n }, (_, i) => positions[3 * i + axis] as number).sort();
    return (
      ((sorted[Math.floor(0.02 * (n - 1))] as number) + (sorted[Math.ceil(0.98 * (n - 1))] as number)) / 2
    );
  });
  const moved = positions.map((value, i) => value - (middle[i % 3] as number));
  const radii = Float32Array.from({ length: n }, (_, i) =>
    Math.hypot(...moved.subarray(3 * i, 3 * i + 3)),
  ).sort();
  const radius = radii[Math.floor(0.98 * (n - 1))] || 1;
  return moved.map((value) => value / radius);
}
