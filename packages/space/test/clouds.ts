import { type Random, randomOf } from "@loc2vec/core";

/** Clouds of rows about some centres, float32 [n, size], and which cloud each row is of. */
export function clouds(
  n: number,
  size: number,
  count: number,
  random: Random = randomOf(7),
  spread = 0.4,
): { vectors: Float32Array; cloud: Int32Array } {
  const centres = Array.from({ length: count * size }, () => 2 * random.normal());
  const cloud = Int32Array.from({ length: n }, () => random.int(count));
  const vectors = Float32Array.from({ length: n * size }, (_, i) => {
    const centre = (cloud[Math.floor(i / size)] as number) * size + (i % size);
    return (centres[centre] as number) + spread * random.normal();
  });
  return { vectors, cloud };
}

/** Rows on a grid of about so many metres, from Helsinki to the north-east. */
export function grid(n: number, metres: number): { lon: Float64Array; lat: Float64Array } {
  const side = Math.ceil(Math.sqrt(n));
  const step = metres / 111_195;
  return {
    lon: Float64Array.from(
      { length: n },
      (_, i) => 24.9 + (step * (i % side)) / Math.cos((60.1 * Math.PI) / 180),
    ),
    lat: Float64Array.from({ length: n }, (_, i) => 60.1 + step * Math.floor(i / side)),
  };
}
