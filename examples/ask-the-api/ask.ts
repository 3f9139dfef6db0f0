// Asks the API of `farm serve`: node ask.ts URL LON LAT. The token is taken from FARM_TOKEN.

const [url = "", lon = "", lat = ""] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env.FARM_TOKEN}`, "content-type": "application/json" };

interface Refusal {
  error: { code: string; message: string; mend: string };
}

/** An answer's JSON. A server that cannot answer for the moment is asked again when it says so. */
async function ask<T>(path: string, body?: object): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(
      url + path,
      body === undefined ? { headers } : { headers, method: "POST", body: JSON.stringify(body) },
    );
    if (response.ok) return (await response.json()) as T;
    const wait = Number(response.headers.get("retry-after"));
    if (wait > 0 && attempt < 5) {
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
      continue;
    }
    const { error } = (await response.json()) as Refusal;
    throw new Error(`${error.message} (${error.code}; mend: ${error.mend})`);
  }
}

interface Neighbour {
  location: number;
  lon: number;
  lat: number;
  label?: string;
  distance: number;
  metres: number;
}

try {
  const model = await ask<{ model: string; dataset: string; n: number; attribution: string }>("/v1/model");
  console.log(`${model.n} locations of ${model.dataset}, by ${model.model}, ${model.attribution}`);
  const spot = { lon: Number(lon), lat: Number(lat) };
  const { vectors } = await ask<{ vectors: number[][] }>("/v1/embed", { places: [spot] });
  console.log(`vector: ${vectors[0]?.map((value) => value.toFixed(3)).join(" ")}`);
  const query = new URLSearchParams({ lon, lat, k: "5", min_distance_m: "200" });
  const { neighbours } = await ask<{ neighbours: Neighbour[] }>(`/v1/neighbours?${query}`);
  for (const { distance, metres, label, ...place } of neighbours) {
    const name = label ?? `location ${place.location}`;
    console.log(`${distance.toFixed(3)}  ${Math.round(metres)} m  ${place.lon} ${place.lat}  ${name}`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
