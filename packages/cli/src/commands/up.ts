import { type ServiceStatus, servicesUp } from "@loc2vec/services";
import { defineCommand } from "../command-line.ts";

export const up = defineCommand({
  usage: "up",
  description: "start the private Redis and PostgreSQL, to stay",
  async action(context) {
    const status = await servicesUp(context.config, { log: context.log });
    context.result(status, [...status.map(lineOf), "pnpm farm:down stops the private ones"]);
  },
});

const lineOf = ({ service, state, url, version, problem }: ServiceStatus): string =>
  `${service.padEnd(9)} ${state.padEnd(9)} ${url}${version === undefined ? "" : `  ${version}`}${problem === undefined ? "" : `  ${problem}`}`;
