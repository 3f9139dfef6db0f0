/** `node setup-cli.js HOME cpu|gpu|official`: for set-up scripts, before the command line of the farm can run. */
import { errorMessage, FarmError } from "@loc2vec/core";
import { setupTensorflow } from "./setup.ts";

const [home, variant = "cpu"] = process.argv.slice(2);
try {
  if (home === undefined || (variant !== "cpu" && variant !== "gpu" && variant !== "official")) {
    throw new FarmError("usage", "usage: setup-cli HOME cpu|gpu|official");
  }
  const { inPlace, source } = await setupTensorflow({
    home,
    variant,
    log: (line) => console.error(`  ${line}`),
  });
  console.log(`${source}${inPlace ? ", in place" : ""}`);
} catch (error) {
  console.error(`error: ${errorMessage(error)}`);
  process.exit(error instanceof FarmError ? error.exitCode : 1);
}
