// In the place of what the index of large sets takes from Node (space/src/hnsw.ts): the page scans, and builds no index.

/** Lets others have a turn. */
export const setImmediate = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

export default undefined;
