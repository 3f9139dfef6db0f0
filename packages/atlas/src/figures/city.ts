import { cityMap, embeddingColours } from "../citymap.ts";
import type { FigureMaker, ModelDrawing } from "../drawing.ts";

/** Figure 18: all locations where they lie, coloured by their embeddings. */
export const city: FigureMaker<ModelDrawing> = {
  subject: "city map",
  async draw({ dataset, places, embeddings: { data, size }, save }) {
    const { colours, explained } = embeddingColours(data, size);
    const map = cityMap(places.lon, places.lat, colours);
    const percent = explained.map((share) => `${(100 * share).toFixed(0)} %`).join(", ");
    return {
      title: "The city by its embeddings (figure 18)",
      caption: `${dataset.locations} locations, coloured by their ${size}-D embeddings reduced to red, green and blue by PCA (variance explained: ${percent}). Like colours are like surroundings. North is up; the picture is ${((map.width * map.metresPerPixel) / 1000).toFixed(1)} km wide.`,
      pictures: [
        { file: await save("city.png", map), alt: "City map of locations coloured by their embeddings" },
      ],
    };
  },
};
