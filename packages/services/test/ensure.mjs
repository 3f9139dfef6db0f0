// A farm command as a process of its own: holds both services until its standard input ends. Prints what it started.
import { readConfig } from "../../core/dist/index.js";
import { ensureServices } from "../dist/index.js";

let services;
process.stdin.resume();
process.stdin.once("end", async () => {
  // Ended while they start: the test died, and whoever guards the home stops them.
  await services?.release();
  process.exit(0);
});
services = await ensureServices(readConfig("/"), { need: ["redis", "database"] });
console.log(JSON.stringify(services.started));
