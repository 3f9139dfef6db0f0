export { type NearVenue, openVenues, readVenues, type Venue, type VenueSource } from "./candidates.ts";
export { ensureDatabase } from "./database.ts";
export { type DemoMap, fetchDemoMap } from "./demo.ts";
export { type ImportOptions, importPbf } from "./import/import.ts";
export { type ImportInfo, noMap, readImportInfo, requireImport } from "./import/info.ts";
export { type ColumnRow, readColumns } from "./locations/cells.ts";
export { openLocationFile } from "./locations/index.ts";
export { type LabelColumn, type LabelledPoint, type LabelOptions, readLabels } from "./locations/labels.ts";
export { describeBad, type LocationSource } from "./locations/survey.ts";
export { checkOsmFile, type OsmFile, type OsmFormat } from "./osmfile.ts";
export type { Packing } from "./packing.ts";
export {
  type Channel,
  type LineDraw,
  loadProfile,
  type PointDraw,
  type PolygonDraw,
  type Profile,
  parseProfile,
  type Rule,
  type Stroke,
  type TagMatch,
} from "./profile.ts";
export { type SampleOptions, sampleLocations } from "./sample.ts";
export { openLocationTable } from "./table.ts";
export { type CountTagsOptions, countTags, type TagCounts } from "./tags.ts";
export { channelsOfVenues, type NearestVenueOptions, nearestVenues } from "./venues.ts";
