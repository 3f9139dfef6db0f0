import type { Loss } from "./loss.ts";
import { ratio } from "./ratio.ts";
import { softpn } from "./softpn.ts";

/** The losses by name. A new one is a module of its own and a line here. */
export const LOSSES = { softpn, ratio } as const satisfies Readonly<Record<string, Loss>>;

export type LossName = keyof typeof LOSSES;

/** In the order of {@link LOSSES}. */
export const LOSS_NAMES = Object.keys(LOSSES) as [LossName, ...LossName[]];
