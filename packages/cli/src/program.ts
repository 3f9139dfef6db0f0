import { runProgram } from "./command-line.ts";
import { atlas } from "./commands/atlas.ts";
import { board } from "./commands/board.ts";
import { config } from "./commands/config.ts";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { down } from "./commands/down.ts";
import { embed } from "./commands/embed.ts";
import { enqueue } from "./commands/enqueue.ts";
import { evaluate } from "./commands/evaluate.ts";
import { explore } from "./commands/explore.ts";
import { exports } from "./commands/export.ts";
import { importMap } from "./commands/import.ts";
import { locations } from "./commands/locations.ts";
import { probe } from "./commands/probe.ts";
import { retry } from "./commands/retry.ts";
import { serve } from "./commands/serve.ts";
import { status } from "./commands/status.ts";
import { train } from "./commands/train.ts";
import { up } from "./commands/up.ts";
import { venues } from "./commands/venues.ts";
import { verify } from "./commands/verify.ts";
import { work } from "./commands/work.ts";

await runProgram({
  name: "farm",
  description: "Turns a map and a list of coordinates into location embeddings. Settings: farm config.",
  commands: [
    ...[up, down, doctor, config],
    ...[importMap, locations, enqueue, work, status, retry, verify, board],
    ...[train, embed, evaluate, probe, exports, atlas, venues, serve, explore],
    demo,
  ],
});
