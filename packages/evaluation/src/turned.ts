import { chosenOf, type Turns } from "@loc2vec/encoder";
import type { Checkpoint } from "@loc2vec/trainer";

/** A model that is judged, by the name that it is told by. */
export interface Entrant {
  name: string;
  checkpoint: Checkpoint;
}

/**
 * Models as they embed, or with other numbers of turns: training knows none, so one model is judged with each.
 *
 * @param turns those to judge each model with, by and by; none: its own
 */
export function entrantsOf(
  models: readonly string[],
  checkpoints: readonly Checkpoint[],
  turns: readonly Turns[],
): Entrant[] {
  const own = checkpoints.map((checkpoint, at) => ({ name: models[at] as string, checkpoint }));
  if (turns.length === 0) return own;
  return turns.flatMap((count) =>
    own.map(({ name, checkpoint }) => ({
      name: `${name}, ${count} turn${count === 1 ? "" : "s"}`,
      checkpoint: turned(checkpoint, count),
    })),
  );
}

function turned(checkpoint: Checkpoint, turns: Turns): Checkpoint {
  const { turns: _, halvings, ...architecture } = checkpoint.settings.architecture;
  const settings = {
    ...checkpoint.settings,
    architecture: { ...architecture, ...chosenOf({ halvings: halvings ?? 0, turns }) },
  };
  return { ...checkpoint, settings };
}
