// Loaded first in every process of a bench: it ends with the bench, however that ends. The channel between the two is
// closed by the system when the bench is killed.
const end = (): void => void process.kill(process.pid, "SIGTERM");
if (process.connected) process.once("disconnect", end);
else end();
