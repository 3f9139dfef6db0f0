import type { z } from "zod";
import { blurPool } from "./blur-pool.ts";
import { conv } from "./conv.ts";
import { dense } from "./dense.ts";
import { flatten } from "./flatten.ts";
import { globalPool } from "./global-pool.ts";
import type { LayerKind } from "./kind.ts";
import { pool } from "./pool.ts";

/** The kinds of layers by name. A new one is a module of its own and a line here. */
export const LAYER_KINDS = {
  conv,
  pool,
  "blur pool": blurPool,
  flatten,
  "global pool": globalPool,
  dense,
} as const;

export type LayerKindName = keyof typeof LAYER_KINDS;

/** A layer as data. */
export type LayerSpec = {
  [Name in LayerKindName]: z.output<(typeof LAYER_KINDS)[Name]["schema"]>;
}[LayerKindName];

/** A kind's name as programs can have it: what is no letter and no figure becomes `_`. */
export const identifierOf = (kind: string): string => kind.replace(/\W+/g, "_");

/** The kind of a layer, its own types forgotten. */
export function kindOf({ kind }: { kind: string }): LayerKind {
  return LAYER_KINDS[kind as LayerKindName] as unknown as LayerKind;
}
