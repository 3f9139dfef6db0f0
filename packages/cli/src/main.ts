// Imports nothing that an old Node could fail to load: what it lacks is said before anything else is loaded.
import { NODE_RANGE, runsFarm } from "./node.ts";

if (!runsFarm(process.versions.node)) {
  const message = `Node ${process.versions.node} is too old for the farm, which needs ${NODE_RANGE}`;
  const mend = "pnpm farm …, or npx pnpm farm …: they use the Node that npm run setup brought along";
  if (process.argv.includes("--json"))
    process.stdout.write(`${JSON.stringify({ error: { kind: "missing", message, mend } })}\n`);
  process.stderr.write(`error: ${message} (mend: ${mend})\n`);
  process.exit(5); // EXIT_CODES.missing
}
await import("./program.ts");
