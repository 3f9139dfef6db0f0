import { hashKeys, METRES_PER_DEGREE } from "@loc2vec/core";
import { mean } from "@loc2vec/numeric";
import { applyProjection, fitLda, gather } from "@loc2vec/space";
import { PALETTE } from "../dotmap.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Key, legend } from "../grid.ts";
import { percent } from "../near.ts";
import { border, hex, type Svg, svg, words } from "../svg.ts";

/** Places that a mode needs to be shown. */
const LEAST = 8;
/** Parts of the cross-validation, and the side of the squares that stay together in one, metres. */
const [FOLDS, SQUARE_M] = [5, 1000] as const;
/** Dots of a mode, at most: the file stays small. */
const DOTS = 400;
/** Draws covariances a little towards a ball: classes of few rows. */
const SHRINKAGE = 0.01;

interface Modes {
  names: readonly string[];
  /** Locations with a mode that is shown. */
  rows: readonly number[];
  /** Number of the mode, one for each row. */
  classes: readonly number[];
  counts: readonly number[];
  /** Modes of fewer places. */
  rare: readonly string[];
}

/** Figure 17: the plane in which ways of travelling lie farthest apart. */
export const modes: FigureMaker<ModelDrawing> = {
  id: "modes",
  title: "Ways of travelling",
  number: "17",
  async draw(drawing) {
    const { dataset, embeddings, save } = drawing;
    const found = await modesOf(drawing);
    if (found.names.length < 3)
      return {
        lacks: `Data set ${dataset.name} does not say how one travels at its places: it has ${found.names.length} modes of at least ${LEAST} places, and 3 are needed. pnpm farm:enqueue --sample draws locations that are labelled with the mode of their road or rail; data sets of before have no labels.`,
      };
    const { names, classes, rows, counts, rare } = found;
    const { size } = embeddings;
    const vectors = gather(embeddings.data, size, rows);
    const plane = fitLda(vectors, size, classes, { components: 2, shrinkage: SHRINKAGE });
    const [two, all] = [2, Math.min(names.length - 1, size)].map((components) =>
      crossValidate(drawing, found, components),
    ) as [number[], number[]];
    const chance = 1 / names.length;
    const description = `${rows.length} places on roads and rails as dots in a plane, in ${names.length} colours: ${names.join(", ")}.`;
    const explained = plane.explained.reduce((sum, share) => sum + share, 0);
    const each = names.map((name, i) => `${name} ${percent(all[i] as number)}`).join(", ");
    return {
      caption: `Places on the way, each a dot in the plane in which the ${names.length} ways of travelling lie farthest apart; a name stands at the middle of each.`,
      look: `which modes the map tells apart. By the nearest middle in this plane, ${percent(mean(two))} of the places of a mode are told right, on average over modes; by all ${Math.min(names.length - 1, size)} axes ${percent(mean(all))}. Chance is ${percent(chance)}. Of each mode: ${each}.`,
      made: `Linear discriminant analysis of the ${size} numbers, shrunk by ${SHRINKAGE}; the two axes have ${percent(explained)} of what lies between modes. A mode is that of the road or rail that a location was drawn from, as the map’s profile says it; the network never saw it as a label, though roads and rails are among its channels. The balanced accuracy is cross-validated in ${FOLDS} parts of whole squares of ${SQUARE_M / 1000} km, so that near places are nearly all on one side; axes and middles are fitted to the other parts.${counts.some((count) => count > DOTS) ? ` Of modes with more, ${DOTS} places are drawn.` : ""}${rare.length > 0 ? ` Left out, with fewer than ${LEAST} places: ${rare.join(", ")}.` : ""}`,
      pictures: [
        await save("modes.svg", drawPlane(drawing, found, applyProjection(plane, vectors), description)),
      ],
    };
  },
};

async function modesOf(drawing: ModelDrawing): Promise<Modes> {
  const labels = await drawing.labels();
  const by = new Map<string, number[]>();
  for (const [row, label] of [...labels].sort(([a], [b]) => a - b)) {
    const own = by.get(label);
    if (own) own.push(row);
    else by.set(label, [row]);
  }
  // The commonest first; a map has few modes, and colours are as few.
  const order = [...by].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const shown = order.filter(([, rows]) => rows.length >= LEAST).slice(0, PALETTE.length);
  const rare = order.slice(shown.length).map(([name]) => name);
  return {
    names: shown.map(([name]) => name),
    rows: shown.flatMap(([, rows]) => rows),
    classes: shown.flatMap(([, rows], number) => rows.map(() => number)),
    counts: shown.map(([, rows]) => rows.length),
    rare: rare.slice(0, 10),
  };
}

/** For each mode the share of its places whose nearest middle, among places of other parts, is that of their own mode. */
function crossValidate(
  { embeddings: { data, size }, places, dataset }: ModelDrawing,
  { rows, classes, names, counts }: Modes,
  components: number,
): number[] {
  const folds = rows.map((row) => {
    const lat = places.lat[row] as number;
    const east = Math.floor(
      ((places.lon[row] as number) * METRES_PER_DEGREE * Math.cos((Math.round(lat) * Math.PI) / 180)) /
        SQUARE_M,
    );
    return hashKeys(dataset.seed, east, Math.floor((lat * METRES_PER_DEGREE) / SQUARE_M)) % FOLDS;
  });
  const right = names.map(() => 0);
  for (let fold = 0; fold < FOLDS; fold++) {
    const [own, others] = [
      [...rows.keys()].filter((i) => folds[i] === fold),
      [...rows.keys()].filter((i) => folds[i] !== fold),
    ];
    const known = others.map((i) => classes[i] as number);
    if (own.length === 0 || new Set(known).size <= components) continue;
    const pick = (chosen: readonly number[]): Float32Array =>
      gather(
        data,
        size,
        chosen.map((i) => rows[i] as number),
      );
    const projection = fitLda(pick(others), size, known, { components, shrinkage: SHRINKAGE });
    const middles = middlesOf(applyProjection(projection, pick(others)), components, known, names.length);
    const scores = applyProjection(projection, pick(own));
    for (const [at, i] of own.entries()) {
      const told = nearestMiddle(middles, scores.subarray(at * components, (at + 1) * components));
      const is = classes[i] as number;
      if (told === is) right[is] = (right[is] as number) + 1;
    }
  }
  return right.map((count, i) => count / (counts[i] as number));
}

/** Mean of each class; undefined of one without rows. */
function middlesOf(
  scores: Float64Array,
  components: number,
  classes: readonly number[],
  count: number,
): (Float64Array | undefined)[] {
  return Array.from({ length: count }, (_, number) => {
    const own = classes.flatMap((is, row) => (is === number ? [row] : []));
    if (own.length === 0) return undefined;
    return Float64Array.from(
      { length: components },
      (_unused, k) =>
        own.reduce((sum, row) => sum + (scores[row * components + k] as number), 0) / own.length,
    );
  });
}

function nearestMiddle(middles: readonly (Float64Array | undefined)[], point: Float64Array): number {
  let [best, least] = [-1, Number.POSITIVE_INFINITY];
  for (const [number, middle] of middles.entries()) {
    if (middle === undefined) continue;
    const square = middle.reduce((sum, value, k) => sum + (value - (point[k] as number)) ** 2, 0);
    if (square < least) [best, least] = [number, square];
  }
  return best;
}

const [WIDTH, HEIGHT, MARGIN] = [1100, 640, 16] as const;

function drawPlane(
  drawing: ModelDrawing,
  { names, classes, counts }: Modes,
  scores: Float64Array,
  description: string,
): Svg {
  const axis = (k: number): number[] => classes.map((_, row) => scores[2 * row + k] as number);
  const scale = [0, 1].map((k) => {
    const sorted = axis(k).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] as number;
    return [at(0.002), at(0.998)] as const;
  }) as [readonly [number, number], readonly [number, number]];
  // One unit is as long in both axes: distances in the picture are those that tell modes apart.
  const [across, upwards] = scale.map(([low, high]) => Math.max(1e-9, high - low)) as [number, number];
  const unit = Math.min((WIDTH - 2 * MARGIN) / across, (HEIGHT - 2 * MARGIN) / upwards);
  const within = (value: number, [low, high]: readonly [number, number], length: number): number =>
    length / 2 + unit * (Math.min(high, Math.max(low, value)) - (low + high) / 2);
  const x = (value: number): number => within(value, scale[0], WIDTH);
  const y = (value: number): number => HEIGHT - within(value, scale[1], HEIGHT);
  const random = drawing.random("modes");
  const drawn = names.flatMap((_, number) =>
    random.shuffle(classes.flatMap((is, row) => (is === number ? [row] : []))).slice(0, DOTS),
  );
  const dots = random
    .shuffle(drawn)
    .map(
      (row) =>
        `<circle cx="${x(scores[2 * row] as number).toFixed(1)}" cy="${y(scores[2 * row + 1] as number).toFixed(1)}" r="3.5" fill="${hex(PALETTE[classes[row] as number] as readonly number[])}"/>`,
    );
  const middles = middlesOf(scores, 2, classes, names.length);
  const labels = spread(
    middles.map((middle, i) => {
      const at = { x: x(middle?.[0] ?? 0), y: y(middle?.[1] ?? 0) };
      return { ...at, at, name: names[i] as string, colour: hex(PALETTE[i] as readonly number[]) };
    }),
  );
  const keys = names.map(
    (name, i): Key => ({
      colour: hex(PALETTE[i] as readonly number[]),
      name: `${name}: ${counts[i]} places`,
    }),
  );
  const below = legend(keys, { x: 0, y: HEIGHT + 10, width: WIDTH });
  const elements = [
    `<style>.halo{stroke:#fbfaf8;stroke-width:4;stroke-linejoin:round;paint-order:stroke}@media(prefers-color-scheme:dark){.halo{stroke:#16181d}}</style>`,
    border({ x: 0.5, y: 0.5, width: WIDTH - 1, height: HEIGHT - 1 }),
    `<g fill-opacity="0.75">${dots.join("")}</g>`,
    ...labels.map(
      ({ at, colour }) =>
        `<circle class="halo" cx="${at.x.toFixed(1)}" cy="${at.y.toFixed(1)}" r="9" fill="${colour}"/>`,
    ),
    ...labels.map(({ name, x: left, y: base }) =>
      words(name, left + 14, base + 6, { size: 17, bold: true }).replace('class="ink"', 'class="ink halo"'),
    ),
    ...below.elements,
  ];
  return svg(
    { title: "Ways of travelling", description, width: WIDTH, height: HEIGHT + 14 + below.height },
    elements,
  );
}

/** Moves names apart that would lie over one another. */
function spread<T extends { x: number; y: number }>(labels: readonly T[]): T[] {
  const [wide, high] = [110, 20];
  const placed: T[] = [];
  for (const label of labels.toSorted((a, b) => a.y - b.y)) {
    let { y } = label;
    while (placed.some((other) => Math.abs(other.x - label.x) < wide && Math.abs(other.y - y) < high)) y += 4;
    placed.push({ ...label, y });
  }
  return placed;
}
