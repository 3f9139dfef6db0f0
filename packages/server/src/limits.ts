/** Spots in one request. */
export const MOST_PLACES = 512;
/** Rows that neighbours, analogies and walks give at most. */
export const MOST_ROWS = 1000;
/** Of a request's body, bytes: twice what {@link MOST_PLACES} spots take that are written in full. */
export const BODY_BYTES = 65_536;
/** What a request may take, milliseconds. */
export const REQUEST_MS = 30_000;
/** Farther from the equator nothing is drawn, degrees. */
export const MOST_LATITUDE = 85;
/** What who was turned away for the moment is asked to wait, seconds. */
export const RETRY_S = 5;
