import { createCalculator } from "./calculator.ts";
import { h } from "./dom.ts";
import type { Focus, Session } from "./session.ts";
import type { Sheets } from "./sheets.ts";

/** What is looked at: its tile, its channels, its vector, and what can be calculated with it. */
export function createDetail(session: Session, sheets: Sheets): HTMLElement {
  const { focus } = session;
  const body = h("div", { class: "detail-body" });
  focus.watch((at) =>
    body.replaceChildren(...(at === undefined ? emptyState(session) : filled(session, sheets, at))),
  );
  return h("aside", { class: "detail", "aria-label": "What is looked at" }, [
    body,
    createCalculator(session, sheets),
  ]);
}

function emptyState({ points, source }: Session): HTMLElement[] {
  const { about } = points;
  const sampled =
    points.n < about.locations
      ? ` ${points.n.toLocaleString("en")} of them are shown here, drawn at random.`
      : "";
  return [
    h("h2", {}, ["Nothing chosen yet"]),
    h("p", { class: "muted" }, [
      `${about.locations.toLocaleString("en")} locations of ${about.dataset}, embedded by ${about.model} after step ${about.step.toLocaleString("en")}.${sampled}`,
    ]),
    h("p", { class: "muted" }, [
      source.live
        ? "Click a point in either view, or any spot of the map: it is drawn and embedded at once."
        : "Click a point in either view.",
    ]),
    h("ul", { class: "keys" }, [
      h("li", {}, [h("kbd", {}, ["/"]), " search"]),
      h("li", {}, [h("kbd", {}, ["["]), " ", h("kbd", {}, ["]"]), " location before, after"]),
      h("li", {}, [h("kbd", {}, ["Esc"]), " let go of what is chosen"]),
    ]),
  ];
}

function filled(session: Session, sheets: Sheets, at: Focus): HTMLElement[] {
  const { points } = session;
  const { point } = at;
  const chips =
    point === undefined
      ? ["spot of the map"]
      : [
          points.kindName(point),
          points.labelName(point),
          `region ${(points.region[point] as number) + 1}`,
        ].filter(Boolean);
  return [
    h("h2", {}, [session.nameOf(at.spot)]),
    h(
      "p",
      { class: "chips" },
      chips.map((chip) => h("span", {}, [chip])),
    ),
    h("p", { class: "muted" }, [
      `${at.lon.toFixed(5)}, ${at.lat.toFixed(5)} · ${2 * points.about.radiusM} m wide`,
    ]),
    pictureOf(session, sheets, at),
    bars(at.vector),
    channels(session, at),
  ];
}

function pictureOf(session: Session, sheets: Sheets, { point, rgb, spot }: Focus): HTMLElement {
  const canvas = h("canvas", {
    class: "picture",
    role: "img",
    "aria-label": `What the model sees of ${session.nameOf(spot)}`,
  });
  if (rgb !== undefined) {
    [canvas.width, canvas.height] = [rgb.side, rgb.side];
    canvas.dataset.full = "yes";
    const image = new ImageData(rgb.side, rgb.side);
    for (let i = 0; i < rgb.side ** 2; i++)
      image.data.set(
        [rgb.data[3 * i] as number, rgb.data[3 * i + 1] as number, rgb.data[3 * i + 2] as number, 255],
        4 * i,
      );
    canvas.getContext("2d")?.putImageData(image, 0, 0);
  } else if (point !== undefined) {
    [canvas.width, canvas.height] = [128, 128];
    sheets.draw(canvas, point).catch((error: Error) => session.message.set(error.message));
  }
  canvas.draggable = true;
  canvas.addEventListener("dragstart", ({ dataTransfer }) =>
    dataTransfer?.setData(
      "text/plain",
      "location" in spot ? `location:${spot.location}` : `spot:${spot.lon},${spot.lat}`,
    ),
  );
  return canvas;
}

/** The numbers of a vector, each as a bar from the middle. @param vector float32 [size] */
function bars(vector: Float32Array): HTMLElement {
  const most = vector.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  return h("figure", { class: "vector" }, [
    h("figcaption", {}, [`Vector: ${vector.length} numbers`]),
    h(
      "ol",
      { class: "bars" },
      [...vector].map((value, i) => {
        const bar = h("span", { class: value < 0 ? "bar negative" : "bar" });
        bar.style.setProperty("--share", String(Math.abs(value) / most));
        return h(
          "li",
          { title: `Number ${i + 1}: ${value.toFixed(4)}`, "aria-label": `${i + 1}: ${value.toFixed(3)}` },
          [bar],
        );
      }),
    ),
  ]);
}

/** Each channel by itself, the brighter the more of it there is. */
function channels({ points, source }: Session, { tile }: Focus): HTMLElement {
  const { channels: all } = points.about;
  if (tile === undefined)
    return h("p", { class: "muted" }, [
      source.live
        ? "Drawing …"
        : "The channels are shown where farm:explore runs; this page holds small pictures alone.",
    ]);
  const area = tile.length / all.length;
  const side = Math.sqrt(area);
  return h(
    "ul",
    { class: "channels" },
    all.map(({ title, colour }, channel) => {
      const canvas = h("canvas", { width: side, height: side, "aria-hidden": "true" });
      const image = new ImageData(side, side);
      let filled = 0;
      for (let i = 0; i < area; i++) {
        const value = tile[channel * area + i] as number;
        if (value > 0) filled++;
        image.data.set([...colour.map((each) => 24 + ((each - 24) * value) / 255), 255], 4 * i);
      }
      canvas.getContext("2d")?.putImageData(image, 0, 0);
      const name = title.split(":")[0] as string;
      return h(
        "li",
        {
          class: filled === 0 ? "blank" : undefined,
          title,
          "aria-label": `${name}: ${Math.round((100 * filled) / area)} % filled`,
        },
        [canvas, h("span", {}, [name])],
      );
    }),
  );
}
