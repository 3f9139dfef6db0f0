import { describeConfig } from "@loc2vec/core";
import { defineCommand } from "../command-line.ts";

export const config = defineCommand({
  usage: "config",
  description: "print all settings, secrets hidden",
  async action(context) {
    const settings = describeConfig(context.config);
    const lines = settings.map(({ env, value, help }) => `${env.padEnd(20)} ${value.padEnd(48)} ${help}`);
    context.result(Object.fromEntries(settings.map(({ env, value }) => [env, value])), lines);
  },
});
