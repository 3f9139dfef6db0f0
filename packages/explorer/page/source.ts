import type { Arranging, Method } from "../src/about.ts";
import { decodeTensors } from "../src/tensors.ts";
import type { Spot } from "./state.ts";

/** What the model sees of a place, and what it makes of it. */
export interface Look {
  vector: Float32Array;
  /** For human eyes, uint8 [y, x, 3]; absent where there is no server. */
  rgb?: { side: number; data: Uint8Array };
  /** Planar uint8 [channel, y, x]. */
  tile?: Uint8Array;
}

/** Where all that is shown comes from: a server, or the file itself. */
export interface Source {
  readonly live: boolean;
  /** Address of map tiles, with {z}, {x} and {y}. */
  readonly mapTiles: string | undefined;
  readonly workerUrl: string;
  points(): Promise<ArrayBuffer>;
  sheet(number: number): Promise<Blob>;
  /** f32 [n, 3] */
  arrangement(method: Method, onProgress: (arranging: Arranging) => void): Promise<Float32Array>;
  /** Absent: only locations can be looked at. */
  look?: (spot: Spot) => Promise<Look>;
}

const POLL_MS = 400;

export function openSource(): Source {
  return document.getElementById("part-points") === null ? openServer() : openFile();
}

/** @throws Error with the server's own words, and what mends it */
async function ask(url: string): Promise<Response> {
  const response = await fetch(url).catch(() => {
    throw new Error("The server does not answer: is farm:explore still running?");
  });
  if (response.ok) return response;
  const { error } = (await response.json().catch(() => ({}))) as {
    error?: { message: string; mend: string };
  };
  throw new Error(error === undefined ? `${url}: ${response.status}` : `${error.message}; ${error.mend}`);
}

function openServer(): Source {
  return {
    live: true,
    mapTiles: `${location.origin}/v1/tile/{z}/{x}/{y}.png`,
    workerUrl: `${location.origin}/explorer/map-worker.js`,
    points: async () => (await ask("/v1/explorer/points")).arrayBuffer(),
    sheet: async (number) => (await ask(`/v1/explorer/sheets/${number}.webp`)).blob(),
    async arrangement(method, onProgress) {
      for (;;) {
        const response = await ask(`/v1/explorer/arrangements/${method}`);
        if (response.status === 200)
          return decodeTensors(await response.arrayBuffer()).columns.positions?.data as Float32Array;
        onProgress((await response.json()) as Arranging);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async look(spot) {
      const query = "location" in spot ? `location=${spot.location}` : `lon=${spot.lon}&lat=${spot.lat}`;
      const response = await ask(`/v1/explorer/look?${query}`);
      const { tile, rgb, vector } = decodeTensors(await response.arrayBuffer()).columns;
      return {
        vector: vector?.data as Float32Array,
        tile: tile?.data as Uint8Array,
        rgb: { side: rgb?.shape[0] as number, data: rgb?.data as Uint8Array },
      };
    },
  };
}

/** What `--export` has put into the page. */
function openFile(): Source {
  const bytes = (name: string): Uint8Array<ArrayBuffer> => {
    const element = document.getElementById(`part-${name}`);
    if (element === null)
      throw new Error(
        `This page was written without ${name}: write it again with --arrangements ${name.replace("arrangement-", "")}`,
      );
    return Uint8Array.from(atob(element.textContent ?? ""), (letter) => letter.charCodeAt(0));
  };
  return {
    live: false,
    mapTiles: undefined,
    workerUrl: URL.createObjectURL(new Blob([bytes("map-worker")], { type: "text/javascript" })),
    points: async () => bytes("points").buffer,
    sheet: async (number) => new Blob([bytes(`sheet-${number}`)], { type: "image/webp" }),
    arrangement: async (method) => new Float32Array(bytes(`arrangement-${method}`).buffer),
  };
}
