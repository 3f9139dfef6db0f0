import { z } from "zod";

/** What can follow a layer with a kernel, as fields of its schema. Without normalization it has a bias. */
export const FOLLOWED = {
  normalization: z.enum(["batch", "none"]).default("none"),
  activation: z.enum(["leaky relu", "none"]).default("none"),
} as const;

/** @returns what follows a layer; undefined for a kind without a kernel */
export function followedBy(spec: { kind: string }): Followed | undefined {
  return "normalization" in spec ? (spec as unknown as Followed) : undefined;
}

export interface Followed {
  normalization: "batch" | "none";
  activation: "leaky relu" | "none";
}
