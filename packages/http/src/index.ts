export { choosePassword, isForeign, isLoopback, type PasswordOptions, type ServerName } from "./access.ts";
export { type GateOptions, guard } from "./gate.ts";
export { listen, shared } from "./listen.ts";
