export { type Answer, judge, topOf, type VenueScore } from "./judge.ts";
export { type Candidate, likelihood, MOST_CANDIDATES, reachM, simulateFix } from "./likelihood.ts";
export { mapVenue, type Ranked } from "./posterior.ts";
export { fitPrior, LEAST_VISITS, type Prior, parsePrior, type Visit } from "./prior.ts";
