/** `node setup-cli.js ROOT`: for set-up scripts, before the command line of the farm can run. */
import { errorMessage, FarmError, readConfig } from "@loc2vec/core";
import { setupTensorflow } from "./setup.ts";

const [root] = process.argv.slice(2);
try {
  if (root === undefined) throw new FarmError("usage", "usage: setup-cli ROOT");
  const { home, tensorflow } = readConfig(root);
  const { inPlace, source } = await setupTensorflow({
    home,
    variant: tensorflow,
    log: (line) => console.error(`  ${line}`),
  });
  console.log(`${source}${inPlace ? ", in place" : ""}`);
} catch (error) {
  console.error(`error: ${errorMessage(error)}`);
  process.exit(error instanceof FarmError ? error.exitCode : 1);
}
