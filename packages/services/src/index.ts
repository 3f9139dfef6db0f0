export { withLock } from "./lock.ts";
export { pythonEnvironment } from "./python.ts";
export type { ServiceName } from "./service.ts";
export {
  type EnsureOptions,
  ensureServices,
  type ServiceStatus,
  type Services,
  servicesDown,
  servicesStatus,
  servicesUp,
} from "./services.ts";
