/** The schema that a finished import is in. */
export const SCHEMA = "farm";
/** The schema that an import works in, until it replaces the other. */
export const STAGING = "farm_import";
