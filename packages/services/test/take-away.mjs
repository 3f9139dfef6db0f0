// Waits until the process that started it ends, whatever ended it; then stops the services of FARM_HOME and removes all.
import { realpath, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readConfig } from "../../core/dist/index.js";
import { servicesDown } from "../dist/index.js";

process.stdin.resume();
process.stdin.once("end", async () => {
  const config = readConfig("/");
  await servicesDown(config);
  const postgres = await realpath(join(config.home, "postgres")).catch(() => config.home);
  if (dirname(postgres) === "/var/lib") await rm(postgres, { recursive: true, force: true });
  await rm(config.home, { recursive: true, force: true });
});
