"""Writes test/fixtures.json: what TensorFlow and Keras make of fixed numbers, for the tests of losses, layers and Adam.

    python make_fixtures.py > ../test/fixtures.json      # with tensorflow-cpu 2.21.0
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np
import tensorflow as tf
from loc2vec_keras import LAYERS, encoder, set_weights, stacked


def numbers(shape, key, scale=1.0):
    """The same numbers in Python and TypeScript: multiples of 1/1000 in [-0.5, 0.5), times `scale`."""
    count = int(np.prod(shape))
    values = [((i * 7919 + key * 104729) % 1000) / 1000 - 0.5 for i in range(count)]
    return (np.array(values) * scale).reshape(shape)


def listed(array):
    """With null for what is no number."""
    return [None if not np.isfinite(value) else float(value) for value in np.asarray(array).ravel()]


def triplet_loss(embeddings, triplets, kind):
    anchor, positive, negative = (tf.gather(embeddings, [row[i] for row in triplets]) for i in range(3))

    def distance(a, b):
        return tf.sqrt(tf.reduce_sum(tf.square(a - b), axis=1))

    near, far = distance(anchor, positive), distance(anchor, negative)
    if kind == "softpn":
        far = tf.minimum(far, distance(positive, negative))
    shares = tf.nn.softmax(tf.stack([near, far], axis=1), axis=1)
    # The mean squared error of (d+, d-) against (0, 1).
    loss = tf.reduce_mean(tf.square(shares - tf.constant([[0.0, 1.0]], shares.dtype)))
    return loss, tf.reduce_mean(near), tf.reduce_mean(far)


def losses():
    ordinary = numbers((6, 4), 1, 6)
    nearer = np.array([[0, 0], [3, 1], [4, 0.5]])  # the positive is nearer to the negative than the anchor is
    equal = np.array([[1, 2], [1, 2], [4, 6]])  # anchor and positive are one
    collapsed = np.ones((3, 4))
    cases = {
        "ordinary": (ordinary, [[0, 1, 2], [2, 3, 5], [4, 5, 1], [1, 0, 3]]),
        "the positive nearer to the negative": (nearer, [[0, 1, 2]]),
        "the anchor nearer to the negative": (nearer[[1, 0, 2]], [[0, 1, 2]]),
        "anchor and positive equal": (equal, [[0, 1, 2]]),
        "all equal": (collapsed, [[0, 1, 2]]),
        "positive far": (np.array([[0, 0], [1e4, 0], [0, 1]]), [[0, 1, 2]]),
        "negative far": (np.array([[0, 0], [1, 0], [0, 1e4]]), [[0, 1, 2]]),
        "both far": (np.array([[0, 0], [1e4, 0], [0, 1e4 + 1]]), [[0, 1, 2]]),
        "a row in several roles": (ordinary[:3], [[0, 1, 2], [1, 0, 2], [2, 1, 0]]),
    }
    written = []
    for name, (embeddings, triplets) in cases.items():
        for kind in ("softpn", "ratio"):
            x = tf.constant(embeddings.astype("float32").astype("float64"))
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss, near, far = triplet_loss(x, triplets, kind)
            gradient = tf.convert_to_tensor(tape.gradient(loss, x))
            written.append(
                {
                    "name": name,
                    "kind": kind,
                    "size": embeddings.shape[1],
                    "embeddings": listed(embeddings.astype("float32")),
                    "triplets": triplets,
                    "loss": float(loss),
                    "positive": float(near),
                    "negative": float(far),
                    "gradient": listed(gradient),
                }
            )
    return written


TAU = {"softpn-all": 0.3, "softpn-hard": 1.0, "ntxent": 0.1, "dcl": 0.2}


def batch_loss(x, locations, kind, tau):
    """A loss of all pairs of a mini-batch: its value, and the mean distances of pairs and of what negatives are told apart by."""
    locations = np.array(locations)
    same, itself = locations[:, None] == locations[None, :], np.eye(len(locations), dtype=bool)
    pairs, others = tf.constant(same & ~itself), tf.constant(~same)
    square = tf.reduce_sum(tf.square(x[:, None] - x[None, :]), axis=2)
    distance = tf.sqrt(tf.where(itself, tf.ones_like(square), square))
    nearest = tf.reduce_min(tf.where(others, distance, np.inf), axis=1)
    ahead = nearest[:, None] + tf.zeros_like(distance)
    near = tf.boolean_mask(distance, pairs)
    if kind == "softpn-hard":
        far = tf.boolean_mask(tf.minimum(ahead, tf.transpose(ahead)), pairs)
        shares = tf.nn.softmax(tf.stack([near, far], axis=1) / tau, axis=1)
        loss = tf.reduce_mean(tf.square(shares - tf.constant([[0.0, 1.0]], shares.dtype)))
        return loss, tf.reduce_mean(near), tf.reduce_mean(far)
    if kind == "softpn-all":
        similarity = -distance / tau
    else:
        units = tf.math.l2_normalize(x, axis=1)
        similarity = tf.matmul(units, units, transpose_b=True) / tau
    rows, columns = np.nonzero(same & ~itself)
    terms = []
    for i, j in zip(rows, columns):
        negatives = tf.boolean_mask(similarity[i], ~same[i])
        beside = negatives if kind == "dcl" else tf.concat([negatives, similarity[i, j : j + 1]], axis=0)
        # The logarithm of the positive's share, as the papers write it.
        terms.append(tf.reduce_logsumexp(beside) - similarity[i, j])
    return tf.reduce_mean(terms), tf.reduce_mean(near), tf.reduce_mean(tf.boolean_mask(ahead, pairs))


def batch_losses():
    # Drawn, so that no two distances are equal: where two negatives are equally near, TensorFlow halves the gradient.
    drawn = np.random.default_rng(1).normal(size=(12, 5))
    cases = {
        "as drawn": (2 * drawn, [7] * 3 + [9] * 3 + [2] * 3 + [4] * 3),
        "locations of different sizes, one of them alone": (drawn[:9, :4], [1, 2, 1, 3, 2, 2, 4, 1, 4]),
        "far apart": (20 * drawn[6:, :3], [0, 0, 1, 1, 2, 2]),
        "close together": (0.1 * drawn[:6, 2:] + 1, [0, 0, 1, 1, 2, 2]),
    }
    written = []
    for name, (embeddings, locations) in cases.items():
        for kind, tau in TAU.items():
            x = tf.constant(embeddings.astype("float32").astype("float64"))
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss, near, far = batch_loss(x, locations, kind, tau)
            written.append(
                {
                    "name": name,
                    "kind": kind,
                    "temperature": tau,
                    "size": embeddings.shape[1],
                    "embeddings": listed(embeddings.astype("float32")),
                    "locations": locations,
                    "loss": float(loss),
                    "positive": float(near),
                    "negative": float(far),
                    "gradient": listed(tape.gradient(loss, x)),
                }
            )
    return written


def decorrelation():
    """VICReg's v + c / 25: of numbers that vary too little and say the same, and of such as vary enough."""
    written = []
    for embeddings in (numbers((7, 4), 11, 3) * [1, 0.2, 1, 3], numbers((5, 3), 13, 0.1)):
        x = tf.constant(embeddings.astype("float32").astype("float64"))
        with tf.GradientTape() as tape:
            tape.watch(x)
            centred = x - tf.reduce_mean(x, axis=0)
            covariance = tf.matmul(centred, centred, transpose_a=True) / (len(embeddings) - 1)
            deviation = tf.sqrt(tf.linalg.diag_part(covariance) + 1e-4)
            variance = tf.reduce_mean(tf.maximum(0.0, 1 - deviation))
            off = covariance - tf.linalg.diag(tf.linalg.diag_part(covariance))
            value = variance + tf.reduce_sum(tf.square(off)) / embeddings.shape[1] / 25
        written.append(
            {
                "size": embeddings.shape[1],
                "embeddings": listed(embeddings.astype("float32")),
                "value": float(value),
                "gradient": listed(tape.gradient(value, x)),
            }
        )
    return written


def adam():
    """Five steps of Keras' Adam."""
    weight = tf.Variable(numbers((6,), 1).astype("float32"))
    optimizer = tf.keras.optimizers.Adam(0.01)
    gradients, weights = [], []
    for step in range(5):
        gradient = numbers((6,), 10 + step, 10.0**-step).astype("float32")
        gradient[5] = 0
        optimizer.apply_gradients([(tf.constant(gradient), weight)])
        gradients.append(listed(gradient))
        weights.append(listed(weight.numpy()))
    return {"learningRate": 0.01, "before": listed(numbers((6,), 1).astype("float32")), "gradients": gradients, "weights": weights}


SMALL = {"channels": 3, "pixels": 8, "pooled": [4], "pointwise": [3], "dense": 4, "embedding": 3}
TRIPLETS = [[0, 1, 2], [2, 3, 4], [4, 5, 1]]
STEPS = 3


def parts(model):
    """A model's trained variables by the names that they have here."""
    variables = {}
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            name = layer.name.removesuffix("_norm")
            variables |= {f"{name}.gamma": layer.gamma, f"{name}.beta": layer.beta}
        elif layer.trainable_weights:
            variables[f"{layer.name}.kernel"] = layer.kernel
            if layer.use_bias:
                variables[f"{layer.name}.bias"] = layer.bias
    return variables


def network():
    """A network without dropout over a few steps: embeddings of both kinds, loss, gradients, weights after Adam."""
    shapes = {"conv1": (3, 3, 3, 4), "conv2": (1, 1, 4, 3), "dense": (48, 4), "embedding": (4, 3)}
    weights = {}
    for key, (name, shape) in enumerate(shapes.items()):
        weights[f"{name}.kernel"] = numbers(shape, key)
        if name == "embedding":
            weights["embedding.bias"] = numbers((3,), 20)
            continue
        size = shape[-1:]
        weights[f"{name}.gamma"] = 1 + numbers(size, 30 + key)
        weights[f"{name}.beta"] = numbers(size, 40 + key)
        weights[f"{name}.mean"] = numbers(size, 50 + key)
        weights[f"{name}.variance"] = 1 + numbers(size, 60 + key)
    weights = {name: value.astype("float32") for name, value in weights.items()}
    model = set_weights(encoder(SMALL, dropout=(0, 0, 0)), weights)
    planar = np.array([(i * 37 + i // 64 * 11) % 256 for i in range(6 * 3 * 64)], "float32").reshape(6, 3, 8, 8)
    tiles = planar.transpose(0, 2, 3, 1)
    optimizer = tf.keras.optimizers.Adam(0.001)
    # What goes into each batch normalization, to take its moments of.
    norms = [layer for layer in model.layers if layer.name.endswith("_norm")]
    inputs = tf.keras.Model(model.inputs, [layer.input for layer in norms])
    steps = []
    inference = listed(model(tiles, training=False))
    for _ in range(STEPS):
        named = parts(model)
        moments = {}
        for layer, x in zip(norms, inputs(tiles, training=True)):
            x = np.asarray(x, "float64").reshape(-1, x.shape[-1])
            # Bessel's correction, as TensorFlow's fused batch normalization hands it to the running variance.
            moments[layer.name.removesuffix("_norm")] = {"mean": listed(x.mean(0)), "variance": listed(x.var(0, ddof=1))}
        with tf.GradientTape() as tape:
            embeddings = model(tiles, training=True)
            loss, _, _ = triplet_loss(embeddings, TRIPLETS, "softpn")
        gradients = tape.gradient(loss, list(named.values()))
        optimizer.apply_gradients(zip(gradients, named.values()))
        steps.append(
            {
                "embeddings": listed(embeddings),
                "loss": float(loss),
                "moments": moments,
                "gradients": {name: listed(each) for name, each in zip(named, gradients)},
                "weights": {name: listed(each.numpy()) for name, each in parts(model).items()},
            }
        )
    return {
        "architecture": SMALL,
        "triplets": TRIPLETS,
        "weights": {name: {"shape": list(value.shape), "data": listed(value)} for name, value in weights.items()},
        "inference": inference,
        "steps": steps,
    }


NONE = {"normalization": "none", "activation": "none"}
BOTH = {"normalization": "batch", "activation": "leaky relu"}
# Each kind of layer by itself, and what the encoder computes in another order than the network says.
EXAMPLES = [
    {"input": [4, 4, 2], "layers": [{"kind": "conv", "filters": 3, "size": 3, **BOTH}]},
    {"input": [4, 4, 2], "layers": [{"kind": "conv", "filters": 3, "size": 1, **NONE}]},
    {"input": [6, 6, 1], "layers": [{"kind": "conv", "filters": 2, "size": 5, **NONE, "activation": "leaky relu"}]},
    {"input": [4, 4, 2], "layers": [{"kind": "conv", "filters": 3, "size": 7, **NONE, "normalization": "batch"}]},
    {"input": [4, 4, 3], "layers": [{"kind": "pool"}]},
    {"input": [4, 6, 2], "layers": [{"kind": "blur pool"}]},
    {"input": [2, 2, 3], "layers": [{"kind": "flatten"}]},
    {"input": [4, 4, 3], "layers": [{"kind": "global pool"}]},
    {"input": [5], "layers": [{"kind": "dense", "units": 3, **BOTH}]},
    {"input": [5], "layers": [{"kind": "dense", "units": 3, **NONE}]},
    {"input": [8, 8, 2], "layers": [{"kind": "conv", "filters": 3, "size": 3, **BOTH}, {"kind": "pool"}, {"kind": "pool"}]},
    {
        "input": [4, 4, 2],
        "layers": [
            {"kind": "pool"},
            {"kind": "conv", "filters": 3, "size": 3, **NONE, "activation": "leaky relu"},
            {"kind": "pool"},
            {"kind": "flatten"},
            {"kind": "dense", "units": 4, **NONE, "activation": "leaky relu"},
            {"kind": "dense", "units": 2, **NONE},
        ],
    },
    {
        "input": [4, 4, 2],
        "layers": [
            {"kind": "conv", "filters": 3, "size": 3, **BOTH},
            {"kind": "global pool"},
            {"kind": "dense", "units": 2, **NONE},
        ],
    },
    {
        "input": [8, 8, 2],
        "layers": [
            {"kind": "conv", "filters": 3, "size": 3, **BOTH},
            {"kind": "pool"},
            {"kind": "conv", "filters": 2, "size": 3, **BOTH},
            {"kind": "pool"},
            {"kind": "global pool", "also": ["conv1", "pool1", "conv2"]},
            {"kind": "dense", "units": 2, **NONE},
        ],
    },
]


def exact(shape):
    """Numbers that bfloat16 holds exactly, too, and that are all different: multiples of 1/256 in [-0.5, 0.5)."""
    count = int(np.prod(shape))
    assert count <= 256
    return ((np.arange(count) * 37 % 256 - 128) / 256).reshape(shape).astype("float32")


def layer_examples():
    """Of each example: what it gives in training and outside, and the gradients of a sum of what it gives, each weighed."""
    alone = {example["layers"][0]["kind"] for example in EXAMPLES if len(example["layers"]) == 1}
    assert alone == set(LAYERS), f"without an example: {set(LAYERS) - alone}"
    written = []
    for example in EXAMPLES:
        specs = example["layers"]
        inputs = tf.keras.Input(example["input"])
        model = tf.keras.Model(inputs, stacked(inputs, specs))
        weights = {}
        for key, (name, variable) in enumerate(parts(model).items()):
            weights[name] = numbers(variable.shape, 80 + key) + (1 if name.endswith(".gamma") else 0)
            if name.endswith(".gamma"):
                layer = name.removesuffix(".gamma")
                weights[f"{layer}.mean"] = numbers(variable.shape, 100 + key)
                weights[f"{layer}.variance"] = 1 + numbers(variable.shape, 120 + key)
        weights = {name: value.astype("float32") for name, value in weights.items()}
        set_weights(model, weights)
        x = tf.constant(exact((2, *example["input"])))
        inference = model(x, training=False)
        variables = parts(model)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            loss = tf.reduce_sum(y * numbers(y.shape, 90).astype("float32"))
        by_input, *gradients = tape.gradient(loss, [x, *variables.values()])
        written.append(
            {
                **example,
                "weights": {name: {"shape": list(value.shape), "data": listed(value)} for name, value in weights.items()},
                "inference": listed(inference),
                "output": listed(y),
                "gradientByInput": listed(by_input),
                "gradients": {name: listed(gradient) for name, gradient in zip(variables, gradients)},
            }
        )
    return written


def leaky():
    values = np.array([-2, -0.5, -1e-3, 0, 1e-3, 0.5, 2], "float32")
    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.keras.layers.LeakyReLU(negative_slope=0.3)(x)
    return {"x": listed(values), "y": listed(y), "gradient": listed(tape.gradient(y, x))}


def rounded(value):
    """Nine digits tell float32 values apart."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    fixtures = {"tensorflow": tf.__version__, "losses": losses(), "batchLosses": batch_losses(), "decorrelation": decorrelation(), "adam": adam(), "leaky": leaky(), "network": network(), "layers": layer_examples()}
    lines = [f"{json.dumps(name)}:{json.dumps(rounded(value), separators=(',', ':'))}" for name, value in fixtures.items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
