import KDBush from "kdbush";
import {
  Map as MapLibre,
  MercatorCoordinate,
  ScaleControl,
  type StyleSpecification,
  setWorkerUrl,
} from "maplibre-gl";
import { letDraw } from "./drawn.ts";
import { createOverlay, type Place } from "./overlay.ts";
import { createPointLayer } from "./point-layer.ts";
import type { Points } from "./points.ts";
import type { Session } from "./session.ts";

/** How near to a point the pointer has to be, CSS pixels. */
const REACH = 9;
const FIRST_ZOOM_PADDING = 28;

export interface MapView {
  /** The picture as it is now. */
  picture(): HTMLCanvasElement;
}

/** The points where they lie, on tiles of the map that the model sees. */
export function openMapView(host: HTMLElement, session: Session): MapView {
  const { points, source, store, hover, focus, findings, appearance } = session;
  setWorkerUrl(source.workerUrl);
  const { box } = points.about;
  const [lon, lat, zoom] = store.state.map;
  const map = new MapLibre({
    container: host,
    style: styleOf(session),
    ...(zoom === undefined
      ? { bounds: [box[0], box[1], box[2], box[3]], fitBoundsOptions: { padding: FIRST_ZOOM_PADDING } }
      : { center: [lon as number, lat as number], zoom }),
    attributionControl: false,
    maxZoom: 19,
    maxPitch: 0,
    dragRotate: false,
    boxZoom: false,
    fadeDuration: 0,
    canvasContextAttributes: { preserveDrawingBuffer: true },
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
  map
    .getCanvas()
    .setAttribute(
      "aria-label",
      "Map of the locations. Arrow keys move it, plus and minus zoom, Enter looks at its middle.",
    );
  const mercator = mercatorOf(points);
  const tree = new KDBush(points.n, 64, Float64Array);
  for (let point = 0; point < points.n; point++)
    tree.add(mercator[2 * point] as number, mercator[2 * point + 1] as number);
  tree.finish();
  const place = (point: number): Place =>
    map.project([points.lon[point] as number, points.lat[point] as number]);
  const nearest = (x: number, y: number): number | undefined => {
    const at = MercatorCoordinate.fromLngLat(map.unproject([x, y]));
    const reach = REACH / (512 * 2 ** map.getZoom());
    const far = (point: number): number => {
      return Math.hypot((mercator[2 * point] as number) - at.x, (mercator[2 * point + 1] as number) - at.y);
    };
    const near = tree.within(at.x, at.y, reach).filter((point) => session.visible.value[point] === 1);
    return near.sort((a, b) => far(a) - far(b) || a - b)[0];
  };
  const overlay = createOverlay(host, session, {
    place,
    focusPlace: () => focus.value && map.project([focus.value.lon, focus.value.lat]),
  });
  const layer = createPointLayer(mercator, appearance, host);
  map.on("style.load", () => {
    addDensity(map, session);
    map.addLayer(layer);
  });
  map.on("render", overlay.draw);
  map.on("error", ({ error }) => session.message.set(`The map: ${error.message}`));
  const redraw = (): void => void map.triggerRepaint();
  appearance.watch(redraw);
  for (const signal of [findings, focus, hover] as const) signal.watch(overlay.draw);
  map.on("mousemove", ({ point }) => hover.set(nearest(point.x, point.y)));
  map.on("mouseout", () => hover.set(undefined));
  const lookAt = (x: number, y: number): void => {
    const point = nearest(x, y);
    const spot = map.unproject([x, y]);
    if (point !== undefined) session.focusPoint(point);
    else store.set({ focus: { lon: Number(spot.lng.toFixed(6)), lat: Number(spot.lat.toFixed(6)) } });
  };
  map.on("click", ({ point }) => lookAt(point.x, point.y));
  map.getCanvas().addEventListener("keydown", ({ key }) => {
    if (key === "Enter") lookAt(host.clientWidth / 2, host.clientHeight / 2);
  });
  map.on("moveend", () => {
    const { lng, lat } = map.getCenter();
    store.set({ map: [lng, lat, map.getZoom()] });
  });
  keepInView(map, session);
  letDraw(host, session, place);
  new ResizeObserver(() => map.resize()).observe(host);
  return { picture: () => map.getCanvas() };
}

/** Moves the map where what is looked at lies beyond its edge. */
function keepInView(map: MapLibre, { focus }: Session): void {
  focus.watch((at) => {
    if (at === undefined || map.getBounds().contains([at.lon, at.lat])) return;
    map.easeTo({
      center: [at.lon, at.lat],
      animate: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    });
  });
}

/** Web Mercator of the points, 0 to 1 from the north-west: float64 [n, 2]. */
function mercatorOf({ n, lon, lat }: Points): Float64Array {
  const mercator = new Float64Array(2 * n);
  for (let point = 0; point < n; point++) {
    const { x, y } = MercatorCoordinate.fromLngLat([lon[point] as number, lat[point] as number]);
    mercator.set([x, y], 2 * point);
  }
  return mercator;
}

function styleOf({ source, points }: Session): StyleSpecification {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = {
    id: "ground",
    type: "background" as const,
    paint: { "background-color": dark ? "#1b1e22" : "#f2efe9" },
  };
  if (source.mapTiles === undefined) return { version: 8, sources: {}, layers: [ground] };
  const tiles = {
    type: "raster" as const,
    tiles: [source.mapTiles],
    tileSize: 256,
    minzoom: 10,
    maxzoom: 19,
  };
  const paint = {
    "raster-opacity": dark ? 0.72 : 0.85,
    "raster-saturation": -0.15,
    "raster-fade-duration": 0,
  };
  return {
    version: 8,
    sources: { map: { ...tiles, bounds: [...(points.about.mapBox ?? points.about.box)] } },
    layers: [ground, { id: "map", type: "raster", source: "map", paint }],
  };
}

/** How many locations there are where, beneath a sample of them. */
function addDensity(map: MapLibre, { points }: Session): void {
  const { density, about } = points;
  if (density === undefined) return;
  const cells = about.densityCells;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [cells, cells];
  const most = density.reduce((a, b) => Math.max(a, b), 1);
  const image = new ImageData(cells, cells);
  for (let i = 0; i < density.length; i++) {
    const share = Math.log1p(density[i] as number) / Math.log1p(most);
    image.data.set([108, 60, 190, 220 * share], 4 * i);
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  const [west, south, east, north] = about.box;
  map.addSource("density", {
    ...{ type: "image", url: canvas.toDataURL() },
    coordinates: [
      [west, north],
      [east, north],
      [east, south],
      [west, south],
    ],
  });
  map.addLayer({ id: "density", type: "raster", source: "density", paint: { "raster-fade-duration": 0 } });
}
