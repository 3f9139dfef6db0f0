"""The encoder in Keras, and how to load a model that the farm has trained (weights.safetensors).

    from loc2vec_keras import load
    model = load("weights.safetensors")
    vectors = model(tiles)          # float32 or uint8 [tile, y, x, channel], 0 to 255

    python loc2vec_keras.py weights.safetensors OUT     # writes OUT/saved_model and OUT/encoder.keras
"""
import json
import os
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


def encoder(architecture=LOC2VEC, dropout=(0.02, 0.01, 0.02)):
    """The network, by default the published one of 305,040 parameters: convolutions and a dense layer, each with batch
    normalization and LeakyReLU, then the embedding."""

    def normalized(x, name):
        x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
        return layers.LeakyReLU(negative_slope=0.3)(x)

    pixels, pooled = architecture["pixels"], architecture["pooled"]
    inputs = tf.keras.Input((pixels, pixels, architecture["channels"]), name="tiles")
    x = layers.SpatialDropout2D(dropout[0])(layers.Rescaling(1 / 255)(inputs))
    for at, filters in enumerate([*pooled, *architecture["pointwise"]], 1):
        pools = at <= len(pooled)
        x = layers.Conv2D(filters, 3 if pools else 1, padding="same", use_bias=False, name=f"conv{at}")(x)
        x = normalized(x, f"conv{at}")
        if pools:
            x = layers.MaxPooling2D()(x)
        x = layers.SpatialDropout2D(dropout[1])(x)
    x = layers.Dense(architecture["dense"], use_bias=False, name="dense")(layers.Flatten()(x))
    x = layers.Dropout(dropout[2])(normalized(x, "dense"))
    return tf.keras.Model(inputs, layers.Dense(architecture["embedding"], name="embedding")(x))


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
            layer.set_weights([weights[f"{name}.{each}"] for each in ("gamma", "beta", "mean", "variance")])
    return model


def load(path):
    """The encoder with a trained model's weights, in the architecture that the file names."""
    weights, metadata = read_safetensors(path)
    architecture = json.loads(metadata["architecture"]) if "architecture" in metadata else LOC2VEC
    return set_weights(encoder(architecture), weights)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python loc2vec_keras.py weights.safetensors OUT")
    model, out = load(sys.argv[1]), sys.argv[2]
    os.makedirs(out, exist_ok=True)
    model.save(os.path.join(out, "encoder.keras"))
    model.export(os.path.join(out, "saved_model"), verbose=False)
    print(f"{out}: encoder.keras, saved_model")
