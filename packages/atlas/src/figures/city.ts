import type { Progress } from "@loc2vec/core";
import { type Colours, colourOf, commonColours } from "../colours.ts";
import type { EmbeddedCity, FigureMaker, Lack, ModelDrawing } from "../drawing.ts";
import { inView, layOut, mapSvg, paintGround } from "../ground.ts";
import type { FigurePicture } from "../page.ts";
import type { Svg } from "../svg.ts";
import { drawKey } from "./city-key.ts";

/** Tiles under the dots, and dots, at most. */
const MOST = { full: { tiles: 10_000, dots: 20_000 }, quick: { tiles: 1500, dots: 20_000 } } as const;
/** Rendered locations that a map needs. */
const FEWEST = 10;

/** Figure 18: all locations of a city where they lie, coloured by their embeddings. */
export const city: FigureMaker<ModelDrawing> = {
  id: "city",
  title: "The city by its embeddings",
  number: "18",
  async draw(drawing) {
    const { dataset, embeddings, cities, save } = drawing;
    const lack = lackOf([drawing]);
    if (lack !== undefined) return lack;
    const colours = commonColours(drawing);
    const map = await draw(drawing, drawing, colours);
    const percent = colours.explained.map((share) => `${(100 * share).toFixed(0)} %`).join(", ");
    const fitted = cities.length === 0 ? "" : `, the same ones for all ${cities.length + 1} data sets`;
    return {
      caption: `Locations of ${dataset.name}, coloured by their ${embeddings.size}-D embeddings. Like colours are like surroundings. Below, tiles from the dark to the bright end of each colour say what it stands for.`,
      look: "streets, shores and quarters that can be told by their colour, though the network was never told where anything lies; and like quarters in like colours at opposite ends of the map.",
      made: `The first three principal axes (PCA) of the embeddings${fitted}, which explain ${percent} of their variance, are red, green and blue, each stretched from its 2nd to its 98th percentile. Under the dots lie the anchors’ own tiles in grey, ${2 * dataset.radius} m wide each. In the key, each tile is the location nearest to its place on one axis and to the middle of the other two; no two of a row share ground.`,
      pictures: [await save("city.svg", map), await save("city-key.svg", await drawKey(drawing, colours))],
    };
  },
};

/** Figure 19: further cities, in the colours of the first. */
export const cities: FigureMaker<ModelDrawing> = {
  id: "cities",
  title: "Other cities in the same colours",
  number: "19",
  async draw(drawing) {
    const { dataset, cities: others, save } = drawing;
    if (others.length === 0)
      return {
        lacks: `A second city is needed to compare with: embed another data set with model ${drawing.model.name}, and name it with --cities.`,
      };
    const lack = lackOf([drawing, ...others]);
    if (lack !== undefined) return lack;
    const colours = commonColours(drawing);
    const pictures: FigurePicture[] = [];
    for (const other of others)
      pictures.push(await save(`cities-${other.dataset.name}.svg`, await draw(drawing, other, colours)));
    return {
      caption: `${others.map((other) => other.dataset.name).join(", ")}: one projection for these and ${dataset.name} above, so that one colour means the same in all of them.`,
      look: "colours that both cities have, and where: the old town of one by that of the other. A colour that only one has is something that the other has not.",
      made: `As the map above, by the same axes and the same ends of the colours. To find these, as many locations are drawn of each city, so that each counts alike.`,
      pictures,
    };
  },
};

function lackOf(all: readonly EmbeddedCity[]): Lack | undefined {
  const small = all.find(({ shuffled }) => shuffled.length < FEWEST);
  if (small === undefined) return undefined;
  return {
    lacks: `A map needs ${FEWEST} rendered locations: data set ${small.dataset.name} has ${small.shuffled.length}. pnpm farm:work renders more; pnpm farm:enqueue makes a larger data set.`,
  };
}

/** A city's map. */
async function draw(drawing: ModelDrawing, shown: EmbeddedCity, colours: Colours): Promise<Svg> {
  const { places, dataset, shuffled } = shown;
  const most = MOST[drawing.effort];
  const layout = layOut(places, dataset.radius);
  const seen = shuffled.filter((location) => inView(layout, location));
  const under = seen.slice(0, most.tiles);
  let progress: Progress | undefined;
  const ground = await paintGround(shown, layout, under, (done, total) => {
    drawing.signal.throwIfAborted();
    progress ??= drawing.progress(`map of ${dataset.name}`, total, "tiles");
    progress.update(done);
  });
  progress?.finish();
  const shares = colours.shares(shown);
  const dots = seen.slice(0, most.dots).map((location) => ({ location, colour: colourOf(shares, location) }));
  const beyond = shuffled.length - seen.length;
  const shownText =
    dots.length === dataset.locations
      ? `all ${dots.length} locations`
      : `${dots.length} of ${dataset.locations} locations${beyond > 0 ? `; ${beyond} lie beyond the map’s edge` : ""}`;
  return mapSvg({
    title: `${dataset.name} by its embeddings`,
    description: `Map of ${shownText} of ${dataset.name} as dots, coloured by their embeddings.`,
    ...{ layout, ground, dots, note: `${dataset.name}, ${shownText}` },
  });
}
