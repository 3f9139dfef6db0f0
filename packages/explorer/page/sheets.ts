import { SHEET_POINTS, SPRITE_PIXELS } from "../src/about.ts";
import type { Source } from "./source.ts";

/** Small pictures of what points show. */
export interface Sheets {
  /** The sheet that a point is on, and how far down; fetched when first asked for. */
  sprite(point: number): Promise<{ sheet: ImageBitmap; top: number }>;
  /** Whether it need not be waited for. */
  ready(point: number): { sheet: ImageBitmap; top: number } | undefined;
  /** Draws a point's picture over the whole of a canvas, and says so by its `data-point`; what was asked for last counts. */
  draw(canvas: HTMLCanvasElement, point: number): Promise<void>;
}

export function openSheets(source: Source): Sheets {
  const sheets = new Map<number, Promise<ImageBitmap>>();
  const ready = new Map<number, ImageBitmap>();
  const placeOf = (point: number): [sheet: number, top: number] => [
    Math.floor(point / SHEET_POINTS),
    (point % SHEET_POINTS) * SPRITE_PIXELS,
  ];
  const fetchSheet = (number: number): Promise<ImageBitmap> => {
    const fetching = source.sheet(number).then(createImageBitmap);
    fetching.then(
      (sheet) => ready.set(number, sheet),
      () => sheets.delete(number),
    );
    return fetching;
  };
  const self: Sheets = {
    async sprite(point) {
      const [number, top] = placeOf(point);
      const fetching = sheets.get(number) ?? fetchSheet(number);
      sheets.set(number, fetching);
      return { sheet: await fetching, top };
    },
    ready(point) {
      const [number, top] = placeOf(point);
      const sheet = ready.get(number);
      return sheet && { sheet, top };
    },
    async draw(canvas, point) {
      canvas.dataset.wanted = String(point);
      const { sheet, top } = self.ready(point) ?? (await self.sprite(point));
      if (canvas.dataset.wanted !== String(point)) return;
      const context = canvas.getContext("2d");
      if (context === null) return;
      context.imageSmoothingQuality = "high";
      context.drawImage(sheet, 0, top, SPRITE_PIXELS, SPRITE_PIXELS, 0, 0, canvas.width, canvas.height);
      canvas.dataset.point = String(point);
    },
  };
  return self;
}
