import { FarmError, LocationError, type Place } from "@loc2vec/core";
import { openRows } from "./index.ts";
import { absent, coordinatesOf, MEND_ROW, number, onGlobe } from "./location.ts";

/** A place of a file, and what stands beside it in columns that were asked for. */
export interface ColumnRow<Name extends string> extends Place {
  /** File and row, for messages: `fixes.csv, row 7`. */
  where: string;
  /** The cell of a column as it is written; undefined where it is empty. */
  cells: Readonly<Record<Name, string | undefined>>;
  /** A cell that must be a number. @throws FarmError `input` naming file, row and column */
  number(name: Name): number;
}

/**
 * Reads a file of places with several columns beside them, whatever of the formats of locations it is in. Unlike a list of
 * locations it is held in memory, and one bad row is an error.
 *
 * @param columns their names, as they are written in the file, or in another case; at least one
 * @throws FarmError `input` naming file and row: for what is no such file, for a column that it lacks, for a bad row, for no row
 */
export async function readColumns<Name extends string>(
  path: string,
  columns: readonly Name[],
): Promise<ColumnRow<Name>[]> {
  const rows: (Place & { where: string; cells: Record<string, string | undefined> })[] = [];
  for (const [at, column] of columns.entries()) {
    const { file, rows: read } = await openRows(path, column);
    let i = 0;
    for await (const { place, fields } of read()) {
      const where = `${file}, ${place}`;
      const fault = (error: LocationError) =>
        new FarmError("input", `${where}: ${error.message}`, error.mend);
      if (fields instanceof LocationError) throw fault(fields);
      if (at === 0) {
        try {
          const { lon, lat } = coordinatesOf(fields);
          if (!onGlobe({ lon, lat }))
            throw new LocationError(`lon ${lon}, lat ${lat} is not on the globe`, MEND_ROW);
          rows.push({ lon, lat, where, cells: {} });
        } catch (error) {
          throw error instanceof LocationError ? fault(error) : error;
        }
      }
      const row = rows[i++];
      if (row !== undefined)
        row.cells[column] = absent(fields.label) ? undefined : String(fields.label).trim();
    }
    if (rows.length === 0) throw new FarmError("input", `${file}: holds no row`, "add at least one");
  }
  return rows.map((row) => ({
    ...row,
    cells: row.cells as ColumnRow<Name>["cells"],
    number(name) {
      try {
        return number(name, row.cells[name], false);
      } catch (error) {
        if (!(error instanceof LocationError)) throw error;
        throw new FarmError("input", `${row.where}: ${error.message}`, error.mend);
      }
    },
  }));
}
