import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { fitRidge, scoreNumbers } from "../src/ridge.ts";

/*
 * scikit-learn 1.9.1:
 *   x = np.array([[0,1],[1,0],[1,3],[2,1],[4,4],[5,3],[5,6],[6,5],[9,0],[8,2],[10,1],[7,3]], float)
 *   y = np.array([1.2,3.4,0.9,2.0,6.1,1.2,4.6,6.1,2.5,0.1,6.4,4.0]); s = StandardScaler().fit(x)
 *   m = RidgeCV(alphas=10 ** (5 - np.arange(15) / 2)).fit(s.transform(x), y)
 *   m.alpha_, m.predict(s.transform([[0,0],[5,5],[9,1],[3,2],[6.9,2.1],[2,6]]))
 */
test("punishment and answers are scikit-learn's", () => {
  const features = Float32Array.of(0, 1, 1, 0, 1, 3, 2, 1, 4, 4, 5, 3, 5, 6, 6, 5, 9, 0, 8, 2, 10, 1, 7, 3);
  const targets = [1.2, 3.4, 0.9, 2, 6.1, 1.2, 4.6, 6.1, 2.5, 0.1, 6.4, 4];
  const { punishment, weights, predict } = fitRidge(features, 2, targets);
  expect(punishment).toBeCloseTo(31.622776601683793, 9);
  const asked = Float32Array.of(0, 0, 5, 5, 9, 1, 3, 2, 6.9, 2.1, 2, 6);
  expect([...predict(asked)]).toEqual(
    [2.6288, 3.520505, 3.298868, 3.046948, 3.298352, 3.452982].map((value) => expect.closeTo(value, 5)),
  );
  // Weights of the features as they are say the same.
  const [first, second, intercept] = weights as unknown as [number, number, number];
  expect([...predict(asked)]).toEqual(
    [0, 1, 2, 3, 4, 5].map((row) =>
      expect.closeTo(
        first * (asked[2 * row] as number) + second * (asked[2 * row + 1] as number) + intercept,
        9,
      ),
    ),
  );
});

/** Numbers that follow the first feature and noise; the second says nothing, the third never varies. */
function rows(count: number, seed: number): { features: Float32Array; targets: number[] } {
  const random = randomOf(seed);
  const features = Float32Array.from({ length: 3 * count }, (_, i) =>
    i % 3 === 2 ? 5 : (i % 3 === 1 ? 1000 : 1) * random.normal(),
  );
  const targets = Array.from(
    { length: count },
    (_, row) => 40 + 3 * (features[3 * row] as number) + random.normal(),
  );
  return { features, targets };
}

test("the punishment is the one with the least error at rows that are left out, one at a time", () => {
  const { features, targets } = rows(25, 1);
  const errorWithout = (punishment: number): number => {
    // The same standardized features throughout; only the regression is made anew without the row.
    const columns = [0, 1].map((k) => {
      const column = targets.map((_, row) => features[3 * row + k] as number);
      const middle = column.reduce((a, b) => a + b) / column.length;
      const scale = Math.sqrt(column.reduce((sum, v) => sum + (v - middle) ** 2, 0) / column.length);
      return column.map((v) => (v - middle) / scale);
    }) as [number[], number[]];
    let sum = 0;
    for (const out of targets.keys()) {
      const kept = [...targets.keys()].filter((row) => row !== out);
      const meanOf = (values: number[]) =>
        kept.reduce((total, row) => total + (values[row] as number), 0) / 24;
      const [ma, mb, my] = [meanOf(columns[0]), meanOf(columns[1]), meanOf(targets)];
      let [aa, ab, bb, ay, by] = [punishment, 0, punishment, 0, 0];
      for (const row of kept) {
        const [a, b] = [(columns[0][row] as number) - ma, (columns[1][row] as number) - mb];
        const y = (targets[row] as number) - my;
        aa += a * a;
        ab += a * b;
        bb += b * b;
        ay += a * y;
        by += b * y;
      }
      const determinant = aa * bb - ab * ab;
      const [wa, wb] = [(ay * bb - by * ab) / determinant, (by * aa - ay * ab) / determinant];
      const told = my + wa * ((columns[0][out] as number) - ma) + wb * ((columns[1][out] as number) - mb);
      sum += ((targets[out] as number) - told) ** 2;
    }
    return sum;
  };
  const punishments = Array.from({ length: 15 }, (_, i) => 10 ** (5 - i / 2));
  const errors = punishments.map(errorWithout);
  const least = punishments[errors.indexOf(Math.min(...errors))];
  expect(fitRidge(features, 3, targets).punishment).toBe(least);
});

test("it foretells rows that it has not seen, and in noise hardly more than their mean", () => {
  const [learned, asked] = [rows(300, 1), rows(1000, 2)];
  const { predict } = fitRidge(learned.features, 3, learned.targets);
  // Of the variance of 10, noise is 1.
  expect(scoreNumbers(predict(asked.features), asked.targets).r2).toBeCloseTo(0.9, 1);
  const random = randomOf(3);
  const noise = learned.targets.map(() => random.normal());
  const guess = fitRidge(learned.features, 3, noise);
  expect(
    Math.abs(scoreNumbers(guess.predict(asked.features), noise.concat(noise, noise, noise.slice(0, 100))).r2),
  ).toBeLessThan(0.05);
});

test("features that never vary, and numbers that are all the same, are no trouble", () => {
  const flat = fitRidge(new Float32Array(30).fill(2), 3, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect([...flat.predict(Float32Array.of(7, 8, 9))]).toEqual([5.5]);
  const { features } = rows(10, 4);
  expect([...fitRidge(features, 3, Array(10).fill(7)).predict(features)]).toEqual(Array(10).fill(7));
});

// r2_score(t, p), mean_absolute_error(t, p) of scikit-learn 1.9.1
test("scores are scikit-learn's", () => {
  expect(scoreNumbers([1.5, 2, 2.5, 5, 4], [1, 2, 3, 4, 5])).toEqual({ r2: 0.75, mean_absolute_error: 0.6 });
  expect(scoreNumbers([3, 3], [3, 3]).r2).toBe(1);
  expect(scoreNumbers([3, 4], [3, 3]).r2).toBe(0);
});
