export {
  type CommandDefinition,
  defineCommand,
  type ProgramDefinition,
  runProgram,
} from "./command-line.ts";
export type { CommandContext } from "./context.ts";
export { FARM_MAIN } from "./entry.ts";
export { positive, whole } from "./options.ts";
