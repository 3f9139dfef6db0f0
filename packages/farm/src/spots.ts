import { type CheckpointChoice, checkName, type Place } from "@loc2vec/core";
import { createEmbedder, embeddingSize } from "@loc2vec/encoder";
import { mask } from "@loc2vec/evaluation";
import type { Profile } from "@loc2vec/gis";
import { createRasterizer, type RendererKind } from "@loc2vec/rasterizer";
import type { ObjectStore } from "@loc2vec/shards";
import { checkCartography, openCheckpoint } from "@loc2vec/trainer";
import { drawAnchors } from "./anchors.ts";

/** Places that are embedded at a time. */
const AT_A_TIME = 32;

export interface SpotsOptions {
  store: ObjectStore;
  /** Of the imported map. */
  databaseUrl: string;
  profile: Profile;
  renderer: RendererKind;
  model: string;
  checkpoint?: CheckpointChoice | undefined;
}

/** Vectors of any places of the imported map, without a data set. */
export interface Spots {
  model: string;
  weightsSha256: string;
  /** Numbers of a vector. */
  size: number;
  /**
   * Draws places as anchors are drawn, and embeds them, in their order.
   *
   * @param places degrees, WGS 84
   * @param hidden indices of channels that are switched off
   * @throws FarmError `location-unusable` for a place beyond the map; `service`
   */
  embed(
    places: readonly Place[],
    options?: { hidden?: readonly number[]; onProgress?: (done: number) => void; signal?: AbortSignal },
  ): Promise<Float32Array[]>;
  /** A place's anchor, planar uint8 [channel, y, x]. */
  draw(place: Place): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens the imported map and a model.
 *
 * @throws FarmError `model-missing`, `map-missing`, `cartography-mismatch` where the model knows tiles that are drawn otherwise
 */
export async function openSpots({
  store,
  databaseUrl,
  profile,
  renderer,
  model,
  checkpoint,
}: SpotsOptions): Promise<Spots> {
  const { settings, weights, weightsSha256 } = await openCheckpoint(
    store,
    checkName("model", model),
    checkpoint,
  );
  const { architecture } = settings;
  const rasterizer = await createRasterizer({
    ...{ databaseUrl, profile, pixels: architecture.pixels, kind: renderer, outside: "error" },
  });
  try {
    checkCartography(model, settings, { name: "of the imported map", source: rasterizer.source });
    const embedder = await createEmbedder(architecture, weights);
    const size = embeddingSize(architecture);
    return {
      ...{ model, weightsSha256, size },
      draw: async (place) => (await drawAnchors(rasterizer, [place]))[0] as Uint8Array,
      async embed(places, { hidden = [], onProgress = () => {}, signal } = {}) {
        const vectors: Float32Array[] = [];
        for (let first = 0; first < places.length; first += AT_A_TIME) {
          signal?.throwIfAborted();
          const tiles = await drawAnchors(rasterizer, places.slice(first, first + AT_A_TIME));
          const data = await embedder.embed(
            hidden.length === 0 ? tiles : tiles.map((tile) => mask(tile, hidden, architecture.channels)),
          );
          for (let i = 0; i < tiles.length; i++) vectors.push(data.slice(i * size, (i + 1) * size));
          onProgress(vectors.length);
        }
        return vectors;
      },
      async close() {
        await Promise.all([rasterizer.close(), embedder.dispose()]);
      },
    };
  } catch (error) {
    await rasterizer.close();
    throw error;
  }
}
