import { benchConfig } from "@loc2vec/farm";
import { servicesDown } from "@loc2vec/services";
import { defineCommand } from "../command-line.ts";

export const down = defineCommand({
  usage: "down",
  description: "stop them",
  async action(context) {
    const stopped = await servicesDown(context.config);
    // A bench that was killed leaves its servers behind.
    const left = await servicesDown(benchConfig(context.config));
    stopped.push(...left.filter((name) => !stopped.includes(name)));
    context.result({ stopped }, [stopped.length === 0 ? "nothing was up" : `stopped ${stopped.join(", ")}`]);
  },
});
