import { FarmError } from "@loc2vec/core";
import { describeArchitecture, initialWeights, parametersOf, type Weights } from "@loc2vec/encoder";
import type { ObjectStore } from "@loc2vec/shards";
import { openCheckpoint } from "./best.ts";
import type { Settings } from "./settings.ts";

/**
 * The weights that a training begins with: drawn by its seed, or those of another model's best checkpoint.
 *
 * @param model that is trained, for messages
 * @throws FarmError `model-missing`, `damaged`, or `settings-mismatch` where the other model's are of another network or
 *   other channels
 */
export async function startingWeights(
  store: ObjectStore,
  model: string,
  settings: Settings,
): Promise<Weights> {
  const { architecture, channels, from, seed } = settings;
  if (from === "none") return initialWeights(architecture, seed);
  const other = await openCheckpoint(store, from);
  const [own, its] = [architecture, other.settings.architecture].map((each) =>
    JSON.stringify(parametersOf(each)),
  );
  if (own !== its) {
    throw new FarmError(
      "settings-mismatch",
      `model ${model} is to begin with the weights of model ${from}, but has ${describeArchitecture(architecture)}, and that ${describeArchitecture(other.settings.architecture)}`,
      "the same --network and --halvings as that has, or leave out --from",
    );
  }
  const [read, wereRead] = [channels, other.settings.channels].map((names) => names.join(", "));
  if (read === wereRead) return other.weights;
  throw new FarmError(
    "settings-mismatch",
    `model ${model} is to begin with the weights of model ${from}, which reads the channels ${wereRead}, and not ${read}`,
    "a data set with these channels, or leave out --from",
  );
}
