export { type Board, type StartBoardOptions, startBoard } from "./board.ts";
export { METRIC_NAMES } from "./metrics.ts";
