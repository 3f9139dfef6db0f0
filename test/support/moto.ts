import { spawn } from "node:child_process";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { freePort } from "./ports.ts";

/** What the S3 server takes as credentials: anything. */
export const CREDENTIALS = {
  AWS_ACCESS_KEY_ID: "test",
  AWS_SECRET_ACCESS_KEY: "secret",
  AWS_REGION: "us-east-1",
} as const;

/** An S3 server (moto's) with one empty bucket. */
export async function startMoto(python: string, bucket: string): Promise<{ endpoint: string; stop(): void }> {
  const port = await freePort();
  const server = spawn(python, ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  for await (const chunk of server.stderr as AsyncIterable<Buffer>) {
    output += chunk.toString();
    if (output.includes("Running on")) break;
  }
  server.stderr?.resume(); // it logs every request: a pipe that nobody reads would stop it
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint,
    forcePathStyle: true,
    region: CREDENTIALS.AWS_REGION,
    credentials: {
      accessKeyId: CREDENTIALS.AWS_ACCESS_KEY_ID,
      secretAccessKey: CREDENTIALS.AWS_SECRET_ACCESS_KEY,
    },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return { endpoint, stop: () => void server.kill("SIGKILL") };
}
