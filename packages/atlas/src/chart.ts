import { escapeHtml } from "./page.ts";

/** A line of a chart. */
export interface Line {
  /** For the legend; without, the line is not in it. */
  name?: string;
  colour: string;
  /** Pixels. */
  width: number;
  dashed?: boolean;
  /** [step, value], steps rising. */
  points: readonly (readonly [number, number])[];
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [900, 320, 52, 34, 12];

/** Values from 0 by step, as SVG. @param title for those who cannot see it */
export function chartSvg(title: string, lines: readonly Line[]): string {
  const all = lines.flatMap(({ points }) => points);
  const highest = Math.max(...all.map(([, value]) => value), 0.01) * 1.05;
  const [first, last] = [Math.min(...all.map(([step]) => step)), Math.max(...all.map(([step]) => step))];
  const x = (step: number): number =>
    LEFT + ((WIDTH - LEFT - 12) * (step - first)) / Math.max(1, last - first);
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / highest);
  const ticks = Array.from({ length: 5 }, (_, i) => (highest * i) / 4);
  const steps = [
    ...new Set(Array.from({ length: 6 }, (_, i) => Math.round(first + ((last - first) * i) / 5))),
  ];
  const grid = ticks.map(
    (tick) =>
      `<line x1="${LEFT}" x2="${WIDTH - 12}" y1="${y(tick)}" y2="${y(tick)}" stroke="#ddd"/><text x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end">${tick.toFixed(2)}</text>`,
  );
  const axis = steps.map(
    (step) => `<text x="${x(step)}" y="${HEIGHT - 12}" text-anchor="middle">${step}</text>`,
  );
  const drawn = lines.map(({ colour, width, dashed = false, points }) => {
    const places = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    return `<polyline points="${places}" fill="none" stroke="${colour}" stroke-width="${width}"${dashed ? ' stroke-dasharray="5 3"' : ""} stroke-linejoin="round"/>`;
  });
  const legend = lines
    .filter(({ name }) => name !== undefined)
    .map(
      ({ name, colour }, i) =>
        `<text x="${WIDTH - 20}" y="${HEIGHT / 3 + 16 * i}" text-anchor="end" fill="${colour}">${escapeHtml(name as string)}</text>`,
    );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#555">
<title>${escapeHtml(title)}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>${grid.join("")}${axis.join("")}
${drawn.join("\n")}${legend.join("")}</svg>
`;
}
