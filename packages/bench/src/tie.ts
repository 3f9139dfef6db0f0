// Loaded first in every process of a bench: it ends with the bench, however that ends. The channel between the two is
// closed by the system when the bench is killed.
process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
