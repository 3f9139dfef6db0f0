import { FarmError, MAX_OFFSET_M, type TileTransform } from "@loc2vec/core";
import { createCanvas, type Paint } from "./canvas.ts";
import type { Draw, DrawOptions } from "./draw.ts";
import type { Coat } from "./style.ts";

/** Pixels of the picture per pixel of a tile. */
export const OVERSAMPLING = 1.5;

/** Paints all that surrounds a location as one picture with a plane per channel, and cuts the tiles out of it. */
export function createFast({ coats, pixels, radius, features, onStage }: DrawOptions): Draw {
  const canvas = createCanvas({
    planes: coats.length,
    pixels,
    radius,
    offset: MAX_OFFSET_M,
    oversampling: OVERSAMPLING,
  });
  const paints = paintsOf(coats);
  return async (frame, half, transforms: readonly TileTransform[], levels) => {
    const furthest = Math.max(0, ...transforms.flatMap(({ dx, dy }) => [Math.abs(dx), Math.abs(dy)]));
    if (furthest > MAX_OFFSET_M) {
      throw new FarmError(
        "usage",
        `a shift of ${furthest} m is beyond ±${MAX_OFFSET_M} m`,
        "use the exact renderer",
      );
    }
    const asked = performance.now();
    const wkb = await features.wkb(frame, half);
    const begin = performance.now();
    onStage("query", begin - asked);
    // From here on nothing waits, so that locations whose queries overlap do not share the canvas.
    canvas.load(wkb, frame);
    for (const { rule, plane, paint } of paints) canvas.paint(rule, plane, paint);
    canvas.finish();
    const drawn = performance.now();
    onStage("render", drawn - begin);
    const tiles = transforms.map((transform) => canvas.cut(transform, levels));
    onStage("cut", performance.now() - drawn);
    return tiles;
  };
}

/** What is painted into which plane, in its order; lengths in metres. */
export function paintsOf(
  coats: readonly (readonly Coat[])[],
): { rule: number; plane: number; paint: Paint }[] {
  return coats.flatMap((channel, plane) =>
    channel.map((coat) => ({ rule: coat.rule.index, plane, paint: paintOf(coat) })),
  );
}

/** A paint whose lengths are in another unit. @param scale such units of a metre */
export function scaledPaint(paint: Paint, scale: number): Paint {
  const radius = paint.radius * scale;
  if (paint.action === "fill") return { ...paint, radius };
  const { width, dash } = paint;
  return {
    ...paint,
    ...{ radius, width: width * scale },
    ...(dash === undefined ? {} : { dash: [dash[0] * scale, dash[1] * scale] as const }),
  };
}

function paintOf({ rule, part }: Coat): Paint {
  if (rule.geometry === "line") {
    const { width, intensity: value, cap, casing, dash } = rule.draw;
    if (part === "casing" && casing)
      return { action: "stroke", value: casing.intensity, width: casing.width, cap, radius: 0 };
    return { action: "stroke", value, width, cap, radius: 0, ...(dash ? { dash } : {}) };
  }
  const { intensity: value, outline } = rule.draw;
  const radius = rule.geometry === "point" ? rule.draw.radius : 0;
  return part === "outline" && outline
    ? { action: "stroke", value: outline.intensity, width: outline.width, cap: "butt", radius }
    : { action: "fill", value, radius };
}
