import { expect, test } from "vitest";
import { columnMeans, covariance } from "../src/covariance.ts";
import { eigen } from "../src/eigen.ts";
import { pca } from "../src/index.ts";

const close = (values: readonly number[], digits = 8) => values.map((value) => expect.closeTo(value, digits));

/*
 * numpy 2.4.6, scikit-learn 1.9.1:
 *   x = np.array([[2,0,1,5],[4,1,0,3],[1,3,2,2],[6,2,8,1],[5,7,3,0],[3,5,9,4],[7,4,6,8]], float)
 *   x.mean(0); np.cov(x.T); np.linalg.eigh(np.cov(x.T))[0]
 *   p = PCA(n_components=3).fit(x); p.components_; p.explained_variance_ratio_; p.transform(x)
 * with each axis turned so that its largest entry is positive.
 */
const DATA = Float64Array.of(
  ...[2, 0, 1, 5, 4, 1, 0, 3, 1, 3, 2, 2, 6, 2, 8, 1, 5, 7, 3, 0, 3, 5, 9, 4, 7, 4, 6, 8],
);
const MEANS = [4, 3.142857142857143, 4.142857142857143, 3.2857142857142856];
const COVARIANCE = [
  [4.666666667, 1.5, 3.333333333, 1],
  [1.5, 5.80952381, 3.476190476, -1.547619048],
  [3.333333333, 3.476190476, 12.476190476, 0.952380952],
  [1, -1.547619048, 0.952380952, 7.238095238],
];
const EIGENVALUES = [2.938495336, 3.810230158, 8.174216311, 15.267534386];
const AXES = [
  [0.331240014, 0.359677442, 0.869071789, 0.075009445],
  [0.122417283, -0.428478607, 0.053545408, 0.893617917],
  [0.583662992, 0.600932272, -0.491673853, 0.237644141],
];
const EXPLAINED = [0.505706975, 0.270754799, 0.126206362];
const SCORES = [
  [-4.395675705, 2.465443347, -1.103319631],
  [-4.392608914, 0.441018065, 0.681324197],
  [-3.003839938, -1.569718101, -1.088792082],
  [3.432103977, -1.10149855, -1.959096655],
  [0.478882785, -4.527653822, 2.682626841],
  [4.611516385, -0.019787062, -1.686030245],
  [3.26962141, 4.312196123, 2.473287574],
];

test("means and covariance are numpy's", () => {
  const means = columnMeans(DATA, 4);
  expect([...means]).toEqual(close(MEANS, 12));
  expect(covariance(DATA, 4, means).map((line) => [...line])).toEqual(COVARIANCE.map((line) => close(line)));
});

test("principal components are scikit-learn's: means, axes, shares of the variance, scores", () => {
  const { mean, axes, explained, scores } = pca(DATA, 4, 3);
  expect([...mean]).toEqual(close(MEANS, 12));
  expect([...axes]).toEqual(close(AXES.flat()));
  expect(explained).toEqual(close(EXPLAINED));
  expect([...scores]).toEqual(close(SCORES.flat()));
  expect([...pca(Float32Array.from(DATA), 4, 3).scores]).toEqual(close(SCORES.flat()));
});

test("eigenvalues are numpy's, of a matrix that is hard to tell from a singular one too", () => {
  const values = eigen(COVARIANCE.map((line) => Float64Array.from(line))).values;
  expect(values.sort((a, b) => a - b)).toEqual(close(EIGENVALUES));
  // np.linalg.eigvalsh(1 / (np.arange(6)[:, None] + np.arange(6)[None, :] + 1)): Hilbert's matrix.
  const hilbert = Array.from({ length: 6 }, (_, i) =>
    Float64Array.from({ length: 6 }, (_, k) => 1 / (i + k + 1)),
  );
  expect(eigen(hilbert).values.sort((a, b) => a - b)).toEqual(
    close(
      [
        1.0827994844532908e-7, 1.257075712262841e-5, 0.000615748354182639, 0.016321521319875815,
        0.24236087057520933, 1.618899858924339,
      ],
      14,
    ),
  );
});

test("eigenvectors are orthonormal, and the matrix only stretches them", () => {
  const matrix = COVARIANCE.map((line) => Float64Array.from(line));
  const { values, vectors } = eigen(matrix);
  const vector = (column: number): number[] => vectors.map((line) => line[column] as number);
  const dot = (a: ArrayLike<number>, b: readonly number[]): number =>
    b.reduce((sum, value, i) => sum + value * (a[i] as number), 0);
  for (let i = 0; i < 4; i++) {
    for (let k = 0; k < 4; k++) expect(dot(vector(i), vector(k))).toBeCloseTo(i === k ? 1 : 0, 12);
    expect(matrix.map((line) => dot(line, vector(i)))).toEqual(
      close(vector(i).map((entry) => (values[i] as number) * entry)),
    );
  }
  expect(matrix.map((line) => [...line])).toEqual(COVARIANCE);
});

test("PCA: axes, variances and scores of a known cloud", () => {
  // 3 along (0.6, 0.8, 0), 1 along (−0.8, 0.6, 0), nothing along z; about (5, 6, 7).
  const rows: number[] = [];
  for (const [a, b] of [
    [3, 0],
    [-3, 0],
    [0, 1],
    [0, -1],
  ] as const)
    rows.push(5 + 0.6 * a - 0.8 * b, 6 + 0.8 * a + 0.6 * b, 7);
  const { mean, axes, explained, scores } = pca(Float64Array.from(rows), 3, 2);
  expect([...mean]).toEqual(close([5, 6, 7], 9));
  expect([...axes]).toEqual(close([0.6, 0.8, 0, 0.8, -0.6, 0], 9));
  expect(explained).toEqual(close([0.9, 0.1], 9));
  expect([...scores]).toEqual(close([3, 0, -3, 0, 0, -1, 0, 1], 9));
});

test("rows that are all the same have no variance to explain, and a single row none either", () => {
  expect(pca(Float64Array.of(1, 2, 1, 2, 1, 2), 2, 2)).toMatchObject({ explained: [0, 0] });
  expect([...pca(Float64Array.of(4, 5), 2, 1).scores]).toEqual([0]);
});
