import { activation } from "./activation.ts";
import { bias } from "./bias.ts";
import { dropout } from "./dropout.ts";
import { normalization } from "./normalization.ts";
import type { Part } from "./part.ts";

/** What can follow a layer with a kernel, by name. */
export const PARTS = { normalization, bias, activation, dropout } as const;

export type PartName = keyof typeof PARTS;

/** A part, its own types forgotten. */
export function partOf(name: PartName): Part<unknown, unknown> {
  return PARTS[name] as unknown as Part<unknown, unknown>;
}
