import { describeConfig } from "@loc2vec/core";
import { type ServiceStatus, servicesDown, servicesUp } from "@loc2vec/services";
import { benchConfig } from "../bench/services.ts";
import type { Context } from "../context.ts";

const line = ({ service, state, url, version, problem }: ServiceStatus): string =>
  `${service.padEnd(9)} ${state.padEnd(9)} ${url}${version === undefined ? "" : `  ${version}`}${problem === undefined ? "" : `  ${problem}`}`;

export async function up(context: Context): Promise<void> {
  const status = await servicesUp(context.config, { log: context.log });
  context.result(status, [...status.map(line), "pnpm farm:down stops the private ones"]);
}

export async function down(context: Context): Promise<void> {
  const stopped = await servicesDown(context.config);
  // A bench that was killed leaves its servers behind.
  const left = await servicesDown(benchConfig(context.config));
  stopped.push(...left.filter((name) => !stopped.includes(name)));
  context.result({ stopped }, [stopped.length === 0 ? "nothing was up" : `stopped ${stopped.join(", ")}`]);
}

export async function config(context: Context): Promise<void> {
  const settings = describeConfig(context.config);
  const lines = settings.map(({ env, value, help }) => `${env.padEnd(20)} ${value.padEnd(48)} ${help}`);
  context.result(Object.fromEntries(settings.map(({ env, value }) => [env, value])), lines);
}
