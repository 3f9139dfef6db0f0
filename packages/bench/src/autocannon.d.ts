/** What is used of autocannon, which brings no types. */
declare module "autocannon" {
  interface Asked {
    method: "GET" | "POST";
    path: string;
    body?: string;
  }
  interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Requests a second of all connections; without it, each asks again as soon as it was answered. */
    overallRate?: number;
    /** Seconds that an answer may take. */
    timeout: number;
    headers: Record<string, string>;
    /** Asked one after the other, from the first on again. */
    requests: Asked[];
  }
  interface Result {
    /** Of answers of each class. */
    "2xx": number;
    non2xx: number;
    errors: number;
    timeouts: number;
    /** Seconds that it took. */
    duration: number;
    /** Milliseconds. */
    latency: { p50: number; p99: number; max: number };
  }
  export default function autocannon(options: Options): Promise<Result>;
}
