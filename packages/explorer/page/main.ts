import "maplibre-gl/dist/maplibre-gl.css";
import "./style.css";
import { createDetail } from "./detail.ts";
import { h } from "./dom.ts";
import { downloadPicture, downloadTable } from "./files.ts";
import { createLegend } from "./legend.ts";
import { openMapView } from "./map-view.ts";
import { loadPoints } from "./points.ts";
import { createSearch } from "./search.ts";
import { createSession, type Session } from "./session.ts";
import { openSheets } from "./sheets.ts";
import { openSource } from "./source.ts";
import { openSpaceView } from "./space-view.ts";
import { createStore } from "./state.ts";
import { createStrip } from "./strip.ts";
import { createToolbar } from "./toolbar.ts";
import { createTooltip } from "./tooltip.ts";

const app = document.getElementById("app") as HTMLElement;

async function start(): Promise<void> {
  const source = openSource();
  const points = await loadPoints(source);
  const store = createStore(points.about.locations);
  const session = createSession(points, source, store);
  const sheets = openSheets(source);
  document.title = `${points.about.dataset} by ${points.about.model}`;
  const [mapHost, spaceHost] = [h("div", { class: "canvas-host" }), h("div", { class: "canvas-host" })];
  const search = createSearch(session);
  const views: { picture(): HTMLCanvasElement }[] = [];
  const toolbar = createToolbar(session, {
    search: search.element,
    table: () => downloadTable(session),
    picture: () =>
      downloadPicture(
        session,
        views.map((view) => view.picture()),
      ),
  });
  app.replaceChildren(
    toolbar,
    h("main", {}, [
      h("section", { class: "view", id: "map", "aria-label": "Map" }, [mapHost, createLegend(session)]),
      h("section", { class: "view", id: "space", "aria-label": "Space" }, [spaceHost]),
      createDetail(session, sheets),
      createStrip(session, sheets),
    ]),
    h("footer", {}, [createMessage(session), h("small", {}, [points.about.attribution])]),
    createTooltip(session, sheets),
  );
  views.push(openMapView(mapHost, session), openSpaceView(spaceHost, session, sheets));
  letKeys(session, search.focus);
  app.dataset.ready = "yes";
}

function createMessage({ message }: Session): HTMLElement {
  const element = h("p", { class: "message", role: "status", "aria-live": "polite" });
  message.watch((text) => {
    element.textContent = text;
  });
  return element;
}

/** Keys that work everywhere but where text is written. */
function letKeys(session: Session, search: () => void): void {
  const { store, points, focus, visible } = session;
  const step = (by: 1 | -1): void => {
    let point = (focus.value?.point ?? (by > 0 ? -1 : points.n)) + by;
    while (visible.value[point] === 0) point += by;
    if (point >= 0 && point < points.n) session.focusPoint(point);
  };
  addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") search();
    else if (event.key === "]") step(1);
    else if (event.key === "[") step(-1);
    else if (event.key === "Escape") store.set({ focus: undefined, selection: [], tool: "look" });
    else return;
    event.preventDefault();
  });
}

start().catch((error: Error) => {
  app.replaceChildren(
    h("div", { class: "failure", role: "alert" }, [
      h("h1", {}, ["The explorer cannot start"]),
      h("p", {}, [error.message]),
    ]),
  );
});
