/** Two features of each row side by side: float32 [rows, first.size + second.size]. */
export function beside(
  first: { data: Float32Array; size: number },
  second: { data: Float32Array; size: number },
): { data: Float32Array; size: number } {
  const size = first.size + second.size;
  const rows = first.data.length / first.size;
  const data = new Float32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    data.set(first.data.subarray(row * first.size, (row + 1) * first.size), row * size);
    data.set(second.data.subarray(row * second.size, (row + 1) * second.size), row * size + first.size);
  }
  return { data, size };
}
