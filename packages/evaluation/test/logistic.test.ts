import { randomOf } from "@loc2vec/core";
import { expect, test } from "vitest";
import { fitProbe, score } from "../src/logistic.ts";

/** Three overlapping clouds; the second feature is a thousand times larger, the third never varies. */
function clouds(rows: number, seed: number): { features: Float32Array; labels: number[] } {
  const random = randomOf(seed);
  const labels = Array.from({ length: rows }, () => random.int(3));
  const features = Float32Array.from(
    labels.flatMap((label) => [random.normal() + 2 * label, 1000 * (random.normal() - label ** 2), 5]),
  );
  return { features, labels };
}

test.each([1, 30])(
  "the coefficients are where the likelihood is flat, less a punishment of %i",
  (punishment) => {
    const { features, labels } = clouds(200, 1);
    const { coefficients, weights, predict } = fitProbe(features, 3, labels, 3, punishment);
    const columns = [0, 1].map((k) => {
      const column = labels.map((_, row) => features[3 * row + k] as number);
      const mean = column.reduce((a, b) => a + b) / column.length;
      const deviation = Math.sqrt(
        column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length,
      );
      return column.map((value) => (value - mean) / deviation);
    });
    const objective = (w: Float64Array): number => {
      let sum = 0;
      for (let c = 0; c < 3; c++)
        for (let k = 0; k < 3; k++) sum += 0.5 * punishment * (w[4 * c + k] as number) ** 2;
      for (const [row, label] of labels.entries()) {
        const scores = [0, 1, 2].map(
          (c) =>
            (w[4 * c] as number) * (columns[0]?.[row] as number) +
            (w[4 * c + 1] as number) * (columns[1]?.[row] as number) +
            (w[4 * c + 3] as number),
        );
        sum += Math.log(scores.reduce((total, s) => total + Math.exp(s), 0)) - (scores[label] as number);
      }
      return sum;
    };
    for (let i = 0; i < coefficients.length; i++) {
      const at = (h: number): number =>
        objective(coefficients.map((value, k) => (k === i ? value + h : value)));
      expect((at(1e-4) - at(-1e-4)) / 2e-4, `coefficient ${i}`).toBeCloseTo(0, 1);
    }
    // What never varies says nothing.
    expect([2, 6, 10].map((i) => coefficients[i])).toEqual([0, 0, 0]);
    // Weights of the features as they are name the same classes.
    const named = labels.map((_, row) => {
      const scores = [0, 1, 2].map((c) =>
        [0, 1, 2].reduce(
          (sum, k) => sum + (weights[4 * c + k] as number) * (features[3 * row + k] as number),
          weights[4 * c + 3] as number,
        ),
      );
      return scores.indexOf(Math.max(...scores));
    });
    expect(named).toEqual([...predict(features)]);
  },
);

test("it recognizes what it learned, in rows that it has not seen, and no more than chance in noise", () => {
  const [learned, asked] = [clouds(300, 1), clouds(2000, 2)];
  const answered = score(
    fitProbe(learned.features, 3, learned.labels, 3).predict(asked.features),
    asked.labels,
    3,
  );
  expect(answered.accuracy).toBeGreaterThan(0.85);
  const noise = { features: learned.features.map((_, i) => Math.sin(i * i)), labels: learned.labels };
  const guess = score(fitProbe(noise.features, 3, noise.labels, 3).predict(asked.features), asked.labels, 3);
  expect(guess.balanced_accuracy).toBeLessThan(0.45);
});

test("balanced accuracy is the mean of the classes that occur", () => {
  expect(score([0, 0, 0, 1], [0, 0, 0, 2], 4)).toEqual({ accuracy: 0.75, balanced_accuracy: 0.5 });
});

/*
 * scikit-learn 1.9.1:
 *   x = np.array([[0,1],[1,0],[1,3],[2,1],[4,4],[5,3],[5,6],[6,5],[9,0],[8,2],[10,1],[7,3]], float)
 *   y = np.array([0,0,0,1,1,1,1,0,2,2,2,1]); s = StandardScaler().fit(x)
 *   m = LogisticRegression(C=1, tol=1e-10, max_iter=10000).fit(s.transform(x), y)
 *   np.hstack([m.coef_, m.intercept_[:, None]])
 *   m.predict(s.transform([[0,0],[5,5],[9,1],[3,2],[6.9,2.1],[2,6]]))
 */
test("coefficients and answers are scikit-learn's", () => {
  const features = [0, 1, 1, 0, 1, 3, 2, 1, 4, 4, 5, 3, 5, 6, 6, 5, 9, 0, 8, 2, 10, 1, 7, 3];
  const labels = [0, 0, 0, 1, 1, 1, 1, 0, 2, 2, 2, 1];
  const { coefficients, predict } = fitProbe(Float32Array.from(features), 2, labels, 3);
  expect([...coefficients]).toEqual(
    [-0.90167, 0.14865, 0.0727, -0.14774, 0.47218, 0.50352, 1.04941, -0.62083, -0.57622].map((value) =>
      expect.closeTo(value, 2),
    ),
  );
  const asked = Float32Array.of(0, 0, 5, 5, 9, 1, 3, 2, 6.9, 2.1, 2, 6);
  expect([...predict(asked)]).toEqual([0, 1, 2, 0, 1, 1]);
});

// accuracy_score(t, p), balanced_accuracy_score(t, p) of scikit-learn 1.9.1
test("scores are scikit-learn's", () => {
  expect(score([0, 1, 1, 2, 2, 2, 0, 1], [0, 1, 2, 2, 2, 1, 0, 0], 3)).toEqual({
    accuracy: 0.625,
    balanced_accuracy: expect.closeTo(0.611111111111111, 12),
  });
});
