export interface Running {
  version: string;
  /** Of the private server. */
  pid?: number;
}

/** One of the servers that the farm needs. */
export interface Service {
  readonly name: "redis" | "database";
  /** Of the private server. */
  readonly folder: string;
  /** Of the private server, password included. */
  readonly url: string;
  /** The user's own server instead. */
  readonly external: string | undefined;
  /** The private server if it runs; undefined when nobody listens. @throws FarmError `service` when the port is another's */
  probe(): Promise<Running | undefined>;
  /** @throws FarmError `missing`, `service` */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Connects to the user's own server. @throws the driver's error */
  check(url: string): Promise<Running>;
}
