import { FarmError } from "@loc2vec/core";
import type { Profile } from "@loc2vec/gis";
import type { ObjectStore } from "@loc2vec/shards";

export interface ReportOptions {
  store: ObjectStore;
  dataset: string;
  model?: string;
  profile: Profile;
  folder: string;
  log?: (line: string) => void;
}

export async function writeReport({ dataset }: ReportOptions): Promise<{ index: string; pictures: string[] }> {
  throw new FarmError("internal", `data set ${dataset}: pictures are not drawn yet`);
}
