import { dcl } from "./dcl.ts";
import type { Loss } from "./loss.ts";
import { ntxent } from "./ntxent.ts";
import { ratio } from "./ratio.ts";
import { softpn } from "./softpn.ts";
import { softpnAll } from "./softpn-all.ts";
import { softpnHard } from "./softpn-hard.ts";

/** The losses by name. A new one is a module of its own and a line here. */
export const LOSSES = {
  softpn,
  ratio,
  "softpn-all": softpnAll,
  "softpn-hard": softpnHard,
  ntxent,
  dcl,
} as const satisfies Readonly<Record<string, Loss>>;

export type LossName = keyof typeof LOSSES;

/** In the order of {@link LOSSES}. */
export const LOSS_NAMES = Object.keys(LOSSES) as [LossName, ...LossName[]];
