// A farm command as a process of its own: holds both services until its standard input ends. Prints what it started.
import { readConfig } from "../../core/dist/index.js";
import { ensureServices } from "../dist/index.js";

const services = await ensureServices(readConfig("/"), { need: ["redis", "database"] });
console.log(JSON.stringify(services.started));
process.stdin.resume();
process.stdin.once("end", async () => {
  await services.release();
  process.exit(0);
});
