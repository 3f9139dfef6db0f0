import { download } from "./dom.ts";
import type { Session } from "./session.ts";

const quoted = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** What is selected, or all that the filters leave, as a table: a row for each location, its vector last. */
export function downloadTable(session: Session): void {
  const { points, store, visible, message } = session;
  const { about, n, row } = points;
  const chosen = new Set(store.state.selection);
  const lines = [
    [
      "location",
      "lon",
      "lat",
      "kind",
      "label",
      "region",
      ...Array.from({ length: about.size }, (_, i) => `v${i}`),
    ].join(","),
  ];
  for (let point = 0; point < n; point++) {
    if (visible.value[point] === 0 || (chosen.size > 0 && !chosen.has(row[point] as number))) continue;
    const facts = [
      row[point],
      points.lon[point],
      points.lat[point],
      points.kindName(point),
      quoted(points.labelName(point)),
      (points.region[point] as number) + 1,
    ];
    lines.push([...facts, ...points.neighbours.vector(point)].join(","));
  }
  download(`${about.dataset}-${about.model}.csv`, new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  message.set(`${lines.length - 1} locations are in the table.`);
}

/** Both views beside each other, with whose map it is. */
export function downloadPicture({ points }: Session, views: readonly HTMLCanvasElement[]): void {
  const canvas = document.createElement("canvas");
  const margin = 28;
  canvas.width = views.reduce((sum, view) => sum + view.width, 0);
  canvas.height = Math.max(...views.map((view) => view.height)) + margin;
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  let x = 0;
  for (const view of views) {
    context.drawImage(view, x, 0);
    x += view.width;
  }
  context.fillStyle = "#444444";
  context.font = "14px system-ui, sans-serif";
  context.fillText(
    `${points.about.dataset} by ${points.about.model}. ${points.about.attribution}`,
    8,
    canvas.height - 9,
  );
  canvas.toBlob(
    (blob) => blob && download(`${points.about.dataset}-${points.about.model}.png`, blob),
    "image/png",
  );
}
