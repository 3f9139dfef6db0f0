export { withCancel } from "./cancel.ts";
export {
  connectDatabase,
  type DatabasePool,
  isPooled,
  openPool,
  sharesConnections,
  withDatabase,
} from "./connection.ts";
export { postgresError, postgresProblem, sqlState } from "./problems.ts";
export { beginTransaction, inTransaction, sessionSettings } from "./transaction.ts";
export { libpqDatabase, libpqEnvironment, serverOf } from "./url.ts";
