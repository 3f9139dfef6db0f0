import { expect, test } from "vitest";
import {
  datasetOfJob,
  finalizeJobId,
  jobName,
  modelJobId,
  parsePayload,
  parseRasterJobId,
  rasterJobId,
} from "../src/payloads.ts";

const STORE = "0123456789abcdef";

test("an id tells data set and shard, whatever dots the name has", () => {
  for (const dataset of ["city", "v1.2", "5", "a.0"]) {
    for (const shard of [0, 7, 23_437]) {
      const job = { store: STORE, dataset, shard };
      expect(parseRasterJobId(rasterJobId(job))).toEqual(job);
    }
  }
  for (const id of ["12", "city", "city.01", "city.-1", ".3", "repeat:x:1"])
    expect(parseRasterJobId(`${id}@${STORE}`)).toBeUndefined();
  for (const id of ["city.1", "city.1@", `city.1@${STORE.toUpperCase()}`])
    expect(parseRasterJobId(id)).toBeUndefined();
});

test("every job's id tells the data set that it works on, and reads without the store", () => {
  const place = { store: STORE, dataset: "v1.2" };
  for (const [queue, id, name] of [
    ["raster", rasterJobId({ ...place, shard: 7 }), "v1.2.7"],
    ["finalize", finalizeJobId(place), "v1.2.finalize"],
    ["train", modelJobId({ ...place, model: "paper" }), "paper@v1.2"],
    ["embed", modelJobId({ ...place, model: "paper" }), "paper@v1.2"],
  ] as const) {
    expect(datasetOfJob(queue, id)).toMatchObject(place);
    expect(jobName(id)).toBe(name);
    expect(datasetOfJob(queue, id.slice(0, -1))).toBeUndefined();
  }
});

test("a payload that is none is refused with the job and the field", () => {
  const job = { store: STORE, dataset: "city", shard: 3 };
  expect(parsePayload("raster", "job city.3", job)).toEqual(job);
  for (const [payload, field] of [
    [{ ...job, shard: -1 }, "shard"],
    [{ ...job, shard: 1.5 }, "shard"],
    [{ ...job, dataset: "../city" }, "dataset"],
    [{ ...job, store: "here" }, "store"],
    [{ store: STORE, shard: 3 }, "dataset"],
  ] as const)
    expect(() => parsePayload("raster", "job city.3", payload)).toThrow(
      `job city.3: not a raster job, field ${field}: `,
    );
  expect(() => parsePayload("raster", "job city.3", { ...job, more: 1 })).toThrow(/not a raster job: .*more/);
});
