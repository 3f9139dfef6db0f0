"""The encoder in Keras, and how to load a model that the farm has trained (weights.safetensors).

    from loc2vec_keras import load
    model = load("weights.safetensors")
    vectors = model(tiles)          # float32 or uint8 [tile, y, x, channel], 0 to 255

    python loc2vec_keras.py weights.safetensors OUT     # writes OUT/saved_model and OUT/encoder.keras
"""
import json
import os
import re
import struct
import sys

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf

layers = tf.keras.layers
LOC2VEC = {
    "channels": 12,
    "pixels": 128,
    "pooled": [32, 64, 64, 128, 128],
    "pointwise": [128, 16],
    "dense": 16,
    "embedding": 16,
}

# Layers: written from packages/encoder/src/layers, not by hand

def conv(x, spec, name):
    bias = spec["normalization"] == "none"
    return layers.Conv2D(spec["filters"], spec["size"], padding="same", use_bias=bias, name=name)(x)


def pool(x, spec, name):
    return layers.MaxPooling2D(name=name)(x)


def blur_pool(x, spec, name):
    x = tf.keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    x = layers.MaxPooling2D(2, strides=1)(x)
    blur = np.outer([1, 2, 1], [1, 2, 1]).reshape(3, 3, 1, 1) / 16
    blur = tf.keras.initializers.Constant(np.tile(blur, (1, 1, x.shape[-1], 1)).tolist())
    return layers.DepthwiseConv2D(
        3, strides=2, use_bias=False, depthwise_initializer=blur, trainable=False, name=name
    )(x)


def flatten(x, spec, name):
    return layers.Flatten(name=name)(x)


def global_pool(x, spec, name):
    maps = x if isinstance(x, list) else [x]
    pools = [pool for x in maps for pool in (layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x))]
    return layers.Concatenate(name=name)(pools)


def dense(x, spec, name):
    bias = spec["normalization"] == "none"
    return layers.Dense(spec["units"], use_bias=bias, name=name)(x)


LAYERS = {
    "conv": conv,
    "pool": pool,
    "blur pool": blur_pool,
    "flatten": flatten,
    "global pool": global_pool,
    "dense": dense,
}
# Each number that they give is one of those that they take: dropout may as well follow them.
SELECTING = {"pool"}
# End of layers


def layers_of(architecture):
    """The layers of a network that is written in short: 3x3 convolutions, each followed by pooling, 1x1 convolutions, a
    dense layer, the embedding."""
    if "layers" in architecture:
        return architecture["layers"]
    both = {"normalization": "batch", "activation": "leaky relu"}
    specs = []
    for filters in architecture["pooled"]:
        specs += [{"kind": "conv", "filters": filters, "size": 3, **both}, {"kind": "pool"}]
    for filters in architecture["pointwise"]:
        specs.append({"kind": "conv", "filters": filters, "size": 1, **both})
    specs += [{"kind": "flatten"}, {"kind": "dense", "units": architecture["dense"], **both}]
    return [*specs, {"kind": "dense", "units": architecture["embedding"], "normalization": "none", "activation": "none"}]


def names_of(specs):
    """The layers' names, the prefixes of their weights' names: conv1, conv2 ..., dense, dense2 ..., at last embedding."""
    kinds = [spec["kind"] for spec in specs]
    counts = [kinds[: at + 1].count(kind) for at, kind in enumerate(kinds)]
    names = [
        kind if kind == "dense" and count == 1 else re.sub(r"\W+", "_", kind) + str(count)
        for kind, count in zip(kinds, counts)
    ]
    return [*names[:-1], "embedding"]


def followed(x, spec, name):
    """A layer's normalization and activation, for the kinds that have them."""
    if spec.get("normalization") == "batch":
        x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    if spec.get("activation") == "leaky relu":
        x = layers.LeakyReLU(negative_slope=0.3)(x)
    return x


def stacked(x, specs, dropped=lambda x: x):
    """What the layers make of x. Dropout follows each layer with a kernel but the last, and the pooling after it."""
    outputs, taken = {}, {name for spec in specs for name in spec.get("also", [])}
    dropout_due = False
    for spec, name in zip(specs, names_of(specs)):
        if dropout_due and spec["kind"] not in SELECTING:
            x, dropout_due = dropped(x), False
        x = [*(outputs[other] for other in spec["also"]), x] if "also" in spec else x
        x = followed(LAYERS[spec["kind"]](x, spec, name), spec, name)
        dropout_due = dropout_due or "normalization" in spec
        if name in taken:
            x, dropout_due = dropped(x) if dropout_due else x, False
            outputs[name] = x
    return x


def halved(x):
    """The rounded mean of 2 x 2 whole numbers, half up."""
    return tf.keras.ops.floor(layers.AveragePooling2D(2)(x) + 0.5)


def turned(x, turns):
    """Tiles, their quarter turns, and with 8 turns those of their mirror images."""
    ops = tf.keras.ops
    across = ops.transpose(x, (0, 2, 1, 3))
    quarter = [x, ops.flip(across, 1), ops.flip(ops.flip(x, 1), 2), ops.flip(across, 2)]
    return (quarter + [ops.flip(x, 2), across, ops.flip(x, 1), ops.flip(ops.flip(across, 1), 2)])[:turns]


def encoder(architecture=LOC2VEC, dropout=(0.02, 0.01, 0.02)):
    """The network as it is trained, by default the published one of 305,040 parameters.

    dropout: rates of the input's channels, of feature maps, of vectors."""

    def dropped(x):
        return layers.SpatialDropout2D(dropout[1])(x) if len(x.shape) == 4 else layers.Dropout(dropout[2])(x)

    pixels, specs = architecture["pixels"], layers_of(architecture)
    inputs = tf.keras.Input((pixels, pixels, architecture["channels"]), name="tiles")
    x = inputs
    for _ in range(architecture.get("halvings", 0)):
        x = halved(x)
    x = layers.SpatialDropout2D(dropout[0])(layers.Rescaling(1 / 255)(x))
    return tf.keras.Model(inputs, stacked(x, specs, dropped))


def read_safetensors(path):
    """Arrays by name, and the metadata (github.com/huggingface/safetensors, Format): all are little-endian float32."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + length])
    metadata = head.pop("__metadata__", {})
    arrays = {
        name: np.frombuffer(data, "<f4", (end - begin) // 4, 8 + length + begin).reshape(entry["shape"])
        for name, entry in head.items()
        for begin, end in [entry["data_offsets"]]
    }
    return arrays, metadata


def set_weights(model, weights):
    """Gives a model of `encoder` the arrays of `read_safetensors`."""
    for layer in model.layers:
        if f"{layer.name}.bias" in weights:
            layer.set_weights([weights[f"{layer.name}.kernel"], weights[f"{layer.name}.bias"]])
        elif f"{layer.name}.kernel" in weights:
            layer.set_weights([weights[f"{layer.name}.kernel"]])
        elif layer.name.endswith("_norm"):
            name = layer.name.removesuffix("_norm")
            layer.set_weights([weights[f"{name}.{vector}"] for vector in ("gamma", "beta", "mean", "variance")])
    return model


def averaged(model, architecture):
    """A model that gives the mean over the architecture's turns of a tile."""
    turns = architecture.get("turns", 1)
    if turns == 1:
        return model
    pixels = architecture["pixels"]
    inputs = tf.keras.Input((pixels, pixels, architecture["channels"]), name="tiles")
    return tf.keras.Model(inputs, layers.Average()([model(turn) for turn in turned(inputs, turns)]))


def load(path):
    """The encoder with a trained model's weights, in the architecture that the file names, for embedding."""
    weights, metadata = read_safetensors(path)
    architecture = json.loads(metadata["architecture"]) if "architecture" in metadata else LOC2VEC
    return averaged(set_weights(encoder(architecture), weights), architecture)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python loc2vec_keras.py weights.safetensors OUT")
    model, out = load(sys.argv[1]), sys.argv[2]
    os.makedirs(out, exist_ok=True)
    model.save(os.path.join(out, "encoder.keras"))
    model.export(os.path.join(out, "saved_model"), verbose=False)
    print(f"{out}: encoder.keras, saved_model")
