import { isMainThread } from "node:worker_threads";

// Loaded first in every process of a bench: it ends with the bench, however that ends. The channel between the two is
// closed by the system when the bench is killed. Threads of such a process load it too, and have no channel.
const end = (): void => void process.kill(process.pid, "SIGTERM");
if (isMainThread) {
  if (process.connected) process.once("disconnect", end);
  else end();
}
