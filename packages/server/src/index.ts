export type { ServedOptions } from "./served.ts";
export { type Server, type StartServerOptions, startServer } from "./server.ts";
