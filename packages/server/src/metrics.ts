import { Counter, Gauge, Histogram, Registry } from "prom-client";

const REQUEST_SECONDS = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];
const DRAW_SECONDS = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1];
const BATCH_TILES = [1, 2, 4, 8, 16, 32];

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** A request was answered. @param route its pattern, never its URL: they are few */
  answered(route: string, method: string, status: number, ms: number): void;
  /** A stage of drawing a spot took so long. */
  drawn(stage: string, ms: number): void;
  /** A batch of so many tiles was embedded. */
  embedded(tiles: number, ms: number): void;
  /** Asked for how many spots wait, whenever metrics are read. */
  watch(waiting: () => number): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const common = <L extends string>(name: string, help: string, labelNames: L[] = []) => ({
    name: `loc2vec_serve_${name}`,
    help,
    labelNames,
    registers: [registry],
  });
  const requests = new Histogram({
    ...common("request_seconds", "Requests that were answered", ["route", "method", "status"]),
    buckets: REQUEST_SECONDS,
  });
  const draws = new Histogram({
    ...common("draw_seconds", "Stages of drawing a spot", ["stage"]),
    buckets: DRAW_SECONDS,
  });
  const batches = new Histogram({
    ...common("batch_tiles", "Tiles of a batch that was embedded"),
    buckets: BATCH_TILES,
  });
  const seconds = new Counter(common("embed_seconds_total", "Time that embedding took"));
  let waitingNow = (): number => 0;
  new Gauge({
    ...common("waiting_spots", "Spots that wait to be drawn"),
    collect() {
      this.set(waitingNow());
    },
  });
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered: (route, method, status, ms) =>
      requests.observe({ route, method, status: String(status) }, ms / 1000),
    drawn: (stage, ms) => draws.observe({ stage }, ms / 1000),
    embedded(tiles, ms) {
      batches.observe(tiles);
      seconds.inc(ms / 1000);
    },
    watch(waiting) {
      waitingNow = waiting;
    },
  };
}
