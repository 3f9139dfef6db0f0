import { CanvasTexture, LinearFilter, NoColorSpace } from "three";
import { SPRITE_PIXELS } from "../src/about.ts";
import type { Sheets } from "./sheets.ts";

/** Sprites in a row of the atlas, and in all of it. */
export const ATLAS_SIDE = 64;
const SLOTS = ATLAS_SIDE ** 2;

/** One texture with the pictures of the points that are near to the eye. */
export interface Atlas {
  readonly texture: CanvasTexture;
  /**
   * Gives the nearest points a slot each, and takes it from others that are no longer near.
   *
   * @param nearest points, the nearest first
   * @param slots of all points, float32 [n]: −1 where a point has none; changed
   * @param changed called when a picture has come
   */
  show(nearest: readonly number[], slots: Float32Array, changed: () => void): void;
}

export function createAtlas(sheets: Sheets): Atlas {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [ATLAS_SIDE * SPRITE_PIXELS, ATLAS_SIDE * SPRITE_PIXELS];
  const context = canvas.getContext("2d");
  const texture = new CanvasTexture(canvas);
  [texture.minFilter, texture.magFilter, texture.generateMipmaps] = [LinearFilter, LinearFilter, false];
  texture.colorSpace = NoColorSpace;
  const held = new Map<number, number>();
  const free = Array.from({ length: SLOTS }, (_, slot) => SLOTS - 1 - slot);
  let [wanted, uploading] = [new Set<number>(), false];
  const draw = (point: number, slots: Float32Array): boolean => {
    const sprite = sheets.ready(point);
    const slot = held.get(point) ?? free.pop();
    if (sprite === undefined || slot === undefined) return false;
    held.set(point, slot);
    const [x, y] = [(slot % ATLAS_SIDE) * SPRITE_PIXELS, Math.floor(slot / ATLAS_SIDE) * SPRITE_PIXELS];
    context?.drawImage(
      sprite.sheet,
      ...([0, sprite.top, SPRITE_PIXELS, SPRITE_PIXELS, x, y, SPRITE_PIXELS, SPRITE_PIXELS] as const),
    );
    slots[point] = slot;
    return true;
  };
  return {
    texture,
    show(nearest, slots, changed) {
      const asked = nearest.slice(0, SLOTS);
      wanted = new Set(asked);
      for (const [point, slot] of held) {
        if (wanted.has(point)) continue;
        held.delete(point);
        free.push(slot);
        slots[point] = -1;
      }
      const upload = (): void => {
        texture.needsUpdate = true;
        changed();
      };
      const missing = asked.filter((point) => !held.has(point) && !draw(point, slots));
      upload();
      // Pictures come by the sheet: one upload for all that came at about the same time.
      for (const point of missing)
        sheets.sprite(point).then(
          () => {
            if (!wanted.has(point) || held.has(point) || !draw(point, slots) || uploading) return;
            uploading = true;
            requestAnimationFrame(() => {
              uploading = false;
              upload();
            });
          },
          () => {},
        );
    },
  };
}
