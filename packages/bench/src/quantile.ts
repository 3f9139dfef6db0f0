/** The least of some values that a share of them does not exceed. @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const rising = [...values].sort((a, b) => a - b);
  return rising[Math.min(rising.length - 1, Math.floor(share * rising.length))] as number;
}
