/** Where the trained weights lie that come with the farm: a checkpoint's `state.json` and `weights.safetensors`. */
export const PRETRAINED_FOLDER = new URL("../pretrained/", import.meta.url);
