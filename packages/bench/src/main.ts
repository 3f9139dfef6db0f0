import { runProgram } from "@loc2vec/cli";
import { api } from "./benches/api.ts";
import { all, render, shard, step } from "./benches/basics.ts";
import { embed } from "./benches/embed.ts";
import { enqueue } from "./benches/enqueue.ts";
import { explore } from "./benches/explore.ts";
import { farm } from "./benches/farm.ts";
import { gpuReady } from "./benches/gpu-ready.ts";
import { knn } from "./benches/knn.ts";
import { loader } from "./benches/loader.ts";
import { query } from "./benches/query.ts";
import { raster } from "./benches/raster.ts";
import { scale } from "./benches/scale.ts";
import { shards } from "./benches/shards.ts";
import { space } from "./benches/space.ts";
import { train } from "./benches/train.ts";
import { uses } from "./benches/uses.ts";
import { usesVenues } from "./benches/uses-venues.ts";
import { workers } from "./benches/workers.ts";

await runProgram({
  name: "bench",
  description: "Measures this machine, on servers of its own under FARM_HOME/bench. Settings: farm config.",
  commands: [
    ...[raster, query, shards, workers, enqueue, farm, loader, train, embed],
    ...[knn, space, api, explore, uses, usesVenues],
    ...[render, shard, step, all],
    ...[gpuReady, scale],
  ],
});
