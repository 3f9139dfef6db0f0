import { fileURLToPath } from "node:url";

/** Path of the program `farm`, for who runs it as a process. */
export const FARM_MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
