import { identifierOf, kindOf, LAYER_KINDS } from "./layers/index.ts";

const [BEGIN, END] = ["# Layers: ", "# End of layers\n"] as const;

/**
 * The Keras loader with what the layers' kinds are in Keras.
 *
 * @param loader text of `python/loc2vec_keras.py`
 * @returns the same, its section of layers made anew
 */
export function kerasLoader(loader: string): string {
  const begin = loader.indexOf("\n", loader.indexOf(BEGIN)) + 1;
  const end = loader.indexOf(END);
  return loader.slice(0, begin) + layersSection() + loader.slice(end);
}

function layersSection(): string {
  const names = Object.keys(LAYER_KINDS);
  const functions = names.map((kind) => `\n${kindOf({ kind }).keras.trim()}\n\n`);
  const table = names.map((kind) => `    "${kind}": ${identifierOf(kind)},\n`);
  const selecting = names.filter((kind) => kindOf({ kind }).selects).map((kind) => `"${kind}"`);
  return `${functions.join("")}
LAYERS = {
${table.join("")}}
# Each number that they give is one of those that they take: dropout may as well follow them.
SELECTING = {${selecting.join(", ")}}
`;
}
