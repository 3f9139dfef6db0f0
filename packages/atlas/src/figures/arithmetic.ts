import { analogy, metresBetween } from "@loc2vec/space";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";
import { type Cell, tileGrid } from "../grid.ts";
import { apartOf, metresText, renderedNeighbours, tooFew } from "../near.ts";
import { commonest, coverOf } from "../objects.ts";

const SHOWN = 4;
/** Triples that are tried, of so many places. */
const TRIED = { full: 20_000, quick: 1000 } as const;
const CANDIDATES = 2000;
const LEAST = 20;
/** Channels that are named below a tile. */
const NAMED = 3;

interface Sum {
  a: number;
  b: number;
  c: number;
  answer: number;
  /** Of answer, a, b and c from a − b + c. */
  distances: { answer: number; a: number; b: number; c: number };
  /** How many times nearer the answer is than the nearest of a, b and c. */
  gain: number;
  /** The least distance between two of a, b and c. */
  apart: number;
}

/** Figure 22: sums of embeddings. */
export const arithmetic: FigureMaker<ModelDrawing> = {
  id: "arithmetic",
  title: "Arithmetic",
  number: "22",
  async draw(drawing) {
    const { save, effort } = drawing;
    const lacks = tooFew(drawing, LEAST, "Sums of embeddings");
    if (lacks !== undefined) return { lacks };
    const sums = await searchSums(drawing);
    const best = chooseSums(drawing, sums);
    if (best.length === 0)
      return {
        lacks: `Of ${TRIED[effort]} sums a − b + c none has an answer that lies apart on the ground. A data set of more places may have.`,
      };
    const rows = await Promise.all(best.map((sum) => drawSum(drawing, sum)));
    const twice = sums.filter(({ gain }) => gain > 2).length;
    const gains = sums.map(({ gain }) => gain).sort((x, y) => x - y);
    const median = gains[Math.floor(gains.length / 2)] as number;
    const description = `${best.length} rows of four tiles: a minus b plus c, and the tile nearest to what comes out.`;
    return {
      caption: `a − b + c, number by number, and the place whose embedding is nearest to what comes out. Below each tile: what covers most of it, and how far its embedding lies from the computed one.`,
      look: "an answer that has what a has and b has not, put where c is. It is none of the three, lies elsewhere in the city, and is much nearer to the computed point than the nearest of them.",
      made: `These are chosen, not usual: ${sums.length} sums of random places were tried, and those shown whose answer is by the greatest factor nearer than a, b and c, among the half whose a, b and c are least alike. Over all of them that factor has a median of ${median.toFixed(2)}, and in ${((100 * twice) / sums.length).toFixed(1)} % it is more than 2. Answers lie more than ${Math.round(apartOf(drawing))} m from a, b and c.`,
      pictures: [
        await save(
          "arithmetic.svg",
          await tileGrid({
            ...{ title: "Arithmetic", description, rows, side: 200, gap: 22 },
            columns: ["a", "− b", "+ c", "= nearest place"],
          }),
        ),
      ],
    };
  },
};

/** Sums of random places, with what is nearest to each. */
async function searchSums(drawing: ModelDrawing): Promise<Sum[]> {
  const { shuffled, neighbours, effort, signal } = drawing;
  const random = drawing.random("arithmetic");
  const apart = apartOf(drawing);
  const index = renderedNeighbours(drawing);
  const candidates = shuffled.slice(0, CANDIDATES);
  const draw = (): number => candidates[random.int(candidates.length)] as number;
  const progress = drawing.progress("sums", TRIED[effort], "sums");
  const sums: Sum[] = [];
  for (let tried = 0; tried < TRIED[effort]; tried++) {
    if (tried % 200 === 0) {
      progress.update(tried);
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
    const [a, b, c] = [draw(), draw(), draw()];
    if (a === b || b === c || a === c) continue;
    const [found] = analogy(index, { a, b, c }, 1, { minDistanceM: apart });
    if (found === undefined) continue;
    const [va, vb, vc] = [neighbours.vector(a), neighbours.vector(b), neighbours.vector(c)];
    const from = (row: Float32Array): number =>
      Math.hypot(...row.map((value, k) => (va[k] as number) - (vb[k] as number) + (vc[k] as number) - value));
    const distances = { answer: found.distance, a: from(va), b: from(vb), c: from(vc) };
    const gain = Math.min(distances.a, distances.b, distances.c) / Math.max(1e-9, distances.answer);
    const between = (x: Float32Array, y: Float32Array): number =>
      Math.hypot(...x.map((value, k) => value - (y[k] as number)));
    const least = Math.min(between(va, vb), between(vb, vc), between(va, vc));
    sums.push({ a, b, c, answer: found.row, distances, gain, apart: least });
  }
  progress.finish();
  return sums;
}

/** Those of the greatest gain, among the half whose a, b and c lie farthest apart; no ground is seen in two of them. */
function chooseSums(drawing: ModelDrawing, sums: readonly Sum[]): Sum[] {
  const apart = apartOf(drawing);
  const used: number[] = [];
  const isUsed = (row: number): boolean =>
    used.some((other) => metresBetween(drawing.places, row, other) <= apart);
  const chosen: Sum[] = [];
  const unlike = sums.toSorted((x, y) => y.apart - x.apart).slice(0, Math.ceil(sums.length / 2));
  for (const sum of unlike.sort((x, y) => y.gain - x.gain)) {
    if (chosen.length === SHOWN) break;
    const rows = [sum.a, sum.b, sum.c, sum.answer];
    if (sum.gain <= 1 || rows.some(isUsed)) continue;
    chosen.push(sum);
    used.push(...rows);
  }
  return chosen;
}

async function drawSum(drawing: ModelDrawing, { distances, gain, ...sum }: Sum): Promise<{ cells: Cell[] }> {
  const names = ["a", "b", "c", "answer"] as const;
  const rows = names.map((name) => sum[name]);
  const { shares } = await coverOf(drawing, rows);
  const nearest = Math.min(...rows.slice(0, 3).map((row) => metresBetween(drawing.places, row, sum.answer)));
  const cells = names.map(async (name, i): Promise<Cell> => {
    const row = sum[name];
    const far = `from a − b + c: ${distances[name].toFixed(2)}`;
    const more =
      name === "answer"
        ? [`${gain.toFixed(1)} times nearer than any of a, b, c`, `${metresText(nearest)} away from them`]
        : [];
    return {
      picture: await drawing.rgb(row, 0),
      alt: `${name}: location ${row}, ${commonest(drawing, shares[i] as number[], NAMED)}`,
      below: [commonest(drawing, shares[i] as number[], NAMED), far, ...more],
      ...(name === "answer" ? { frame: "#2e8b57" } : {}),
    };
  });
  return { cells: await Promise.all(cells) };
}
