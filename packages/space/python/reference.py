"""What scikit-learn makes of some vectors: reads JSON from stdin, writes JSON to stdout.

In: {"vectors": [[...]], "classes": [...], "shrinkage": number, "perplexity": number, "positions": [[...]]}.
Out: {"lda": {"axes", "explained", "scores"}, "trustworthiness", "tsne": {"2": {"positions", "divergence"}, "3": ...}}.
"""

import json
import sys

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.manifold import TSNE, trustworthiness


def lda(vectors, classes, shrinkage):
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage or None).fit(vectors, classes)
    scores = fitted.transform(vectors)
    axes = fitted.scalings_[:, : scores.shape[1]]
    return {
        "axes": axes.T.tolist(),
        "explained": fitted.explained_variance_ratio_.tolist(),
        "scores": (scores - scores.mean(axis=0)).tolist(),
    }


def tsne(vectors, dimensions, perplexity):
    fitted = TSNE(n_components=dimensions, perplexity=perplexity, init="pca", random_state=1, n_jobs=1)
    positions = fitted.fit_transform(vectors)
    return {"positions": positions.tolist(), "divergence": float(fitted.kl_divergence_)}


asked = json.load(sys.stdin)
given = np.array(asked["vectors"], dtype=np.float32)
answer = {
    "lda": [lda(given.astype(np.float64), asked["classes"], each) for each in asked["shrinkages"]],
    "trustworthiness": float(trustworthiness(given, np.array(asked["positions"]), n_neighbors=12)),
    "tsne": {str(each): tsne(given, each, asked["perplexity"]) for each in (2, 3)},
}
json.dump(answer, sys.stdout)
