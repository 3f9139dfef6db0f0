import { checkName, FarmError } from "@loc2vec/core";

/** Name of the model that comes with the farm: every store has it, and none can train one of that name. */
export const PRETRAINED = "pretrained";

/** @throws FarmError `usage` for a bad name, or that of the model that comes with the farm */
export function checkTrainable(model: string): void {
  checkName("model", model);
  if (model !== PRETRAINED) return;
  throw new FarmError(
    "usage",
    `${PRETRAINED} is the name of the model that comes with the farm, and cannot be trained`,
    `train under another name; --from ${PRETRAINED} begins with its weights`,
  );
}

/** Where a model's objects lie in the store. @throws FarmError `usage` for a bad name */
export function modelPrefix(name: string): string {
  return `models/${checkName("model", name)}`;
}

/** A value as an object of the store: indented JSON, UTF-8. */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`);
}
