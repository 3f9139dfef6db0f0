import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import type { Picture } from "@loc2vec/atlas";
import { FarmError } from "@loc2vec/core";
import sharp from "sharp";
import { decimals } from "./decimals.ts";
import type { EmbeddingTable, TableBlock } from "./table.ts";
import { writeWholeFolder } from "./whole.ts";

/** Rows at most: each still has a picture that shows something, and the Projector's t-SNE takes no more. */
export const MOST_PROJECTED = 10_000;
/** The sprite's side at most, pixels: what WebGL draws everywhere. */
const SPRITE_PIXELS = 8192;
/** Pictures that are read and scaled at a time. */
const AT_A_TIME = 64;
const CONFIG = "projector_config.json";

/** What a folder for the Projector holds. */
export interface Projected {
  rows: number;
  files: string[];
  /** Side of a picture in the sprite, pixels. */
  picture: number;
}

/**
 * Writes a folder for TensorBoard's Embedding Projector: `tensors.tsv`, `metadata.tsv`, `sprite.png` with a picture of each
 * row, and what says so to the standalone Projector (`projector_config.json`) and to `tensorboard --logdir` (`.pbtxt`).
 * It is there whole or not at all, in place of an earlier one.
 *
 * @param pictureOf squares, all of one size, of some locations
 * @throws FarmError `input` for more than {@link MOST_PROJECTED} rows; `usage` where something else has the folder's name
 */
export async function writeProjector(
  folder: string,
  table: EmbeddingTable,
  pictureOf: (locations: readonly number[]) => Promise<Picture[]>,
): Promise<Projected> {
  const { rows, size, labelled, origin } = table;
  if (rows > MOST_PROJECTED)
    throw new FarmError(
      "input",
      `${rows} locations: the Projector is given ${MOST_PROJECTED} at most`,
      `--sample ${MOST_PROJECTED}`,
    );
  let picture = 0;
  await writeWholeFolder(folder, CONFIG, async (whole) => {
    const tensors = createWriteStream(join(whole, "tensors.tsv"));
    const metadata = createWriteStream(join(whole, "metadata.tsv"));
    const sprite = openSprite(rows);
    const columns = ["location", "lon", "lat", "kind", ...(labelled ? ["label"] : [])];
    metadata.write(`${columns.join("\t")}\n`);
    for await (const block of table.blocks()) {
      await written(tensors, tensorLines(block, size));
      await written(metadata, metadataLines(block, labelled));
      for (let from = 0; from < block.location.length; from += AT_A_TIME)
        await sprite.add(await pictureOf([...block.location.subarray(from, from + AT_A_TIME)]));
    }
    for (const file of [tensors, metadata]) {
      file.end();
      await finished(file);
    }
    picture = sprite.side();
    await sprite.write(join(whole, "sprite.png"));
    const name = `${origin.dataset} by ${origin.model}, ${origin.attribution}`;
    await writeFile(join(whole, "projector_config.pbtxt"), configText(name, picture));
    await writeFile(join(whole, CONFIG), configJson(name, [rows, size], picture));
  });
  return {
    ...{ rows, picture },
    files: ["tensors.tsv", "metadata.tsv", "sprite.png", CONFIG, "projector_config.pbtxt"],
  };
}

async function written(file: ReturnType<typeof createWriteStream>, lines: readonly string[]): Promise<void> {
  if (!file.write(lines.map((line) => `${line}\n`).join(""))) await once(file, "drain");
}

const tensorLines = ({ location, vectors }: TableBlock, size: number): string[] =>
  Array.from(location, (_, i) => decimals(vectors, i * size, size).join("\t"));

/** The Projector knows no quotes: what would end a field or a line becomes a space. */
const metadataLines = ({ location, lon, lat, kind, label }: TableBlock, labelled: boolean): string[] =>
  Array.from(location, (each, i) =>
    [each, lon[i], lat[i], kind[i], ...(labelled ? [(label[i] ?? "").replace(/\s+/g, " ")] : [])].join("\t"),
  );

/** Pictures in rows from the top left, in a square as the Projector wants it: its side is that of the fewest that suffice. */
function openSprite(count: number) {
  const columns = Math.ceil(Math.sqrt(count));
  let [side, next] = [0, 0];
  let pixels = new Uint8Array(0);
  return {
    side: () => side,
    async add(pictures: readonly Picture[]): Promise<void> {
      const first = pictures[0];
      if (side === 0 && first !== undefined) {
        side = Math.min(first.width, Math.floor(SPRITE_PIXELS / columns));
        pixels = new Uint8Array((columns * side) ** 2 * 3);
      }
      const scaled = await Promise.all(
        pictures.map(({ width, height, data }) =>
          sharp(data, { raw: { width, height, channels: 3 } })
            .resize(side, side)
            .raw()
            .toBuffer(),
        ),
      );
      for (const each of scaled) {
        const [row, column] = [Math.floor(next / columns), next % columns];
        for (let y = 0; y < side; y++) {
          const at = ((row * side + y) * columns + column) * side * 3;
          pixels.set(each.subarray(y * side * 3, (y + 1) * side * 3), at);
        }
        next++;
      }
    },
    async write(path: string): Promise<void> {
      const edge = columns * side;
      await sharp(pixels, { raw: { width: edge, height: edge, channels: 3 } })
        .png()
        .toFile(path);
    },
  };
}

/** As the standalone Projector reads it with `?config=URL`. */
const configJson = (tensorName: string, tensorShape: readonly [number, number], side: number): string =>
  `${JSON.stringify(
    {
      embeddings: [
        {
          tensorName,
          tensorShape,
          tensorPath: "tensors.tsv",
          metadataPath: "metadata.tsv",
          sprite: { imagePath: "sprite.png", singleImageDim: [side, side] },
        },
      ],
    },
    null,
    2,
  )}\n`;

/** As TensorBoard reads it in its folder of logs (its ProjectorConfig, as text). */
const configText = (name: string, side: number): string => `embeddings {
  tensor_name: ${JSON.stringify(name)}
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
  sprite {
    image_path: "sprite.png"
    single_image_dim: ${side}
    single_image_dim: ${side}
  }
}
`;
