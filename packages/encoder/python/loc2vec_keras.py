"""The encoder in Keras, and how to load a model that the farm has trained (weights.safetensors).

    from loc2vec_keras import load
    model = load("weights.safetensors")
    vectors = model(tiles)          # float32 or uint8 [tile, 128, 128, 12], 0 to 255
"""
import json
import struct

import numpy as np
import tensorflow as tf

layers = tf.keras.layers
CONVOLUTIONS = [(32, 3), (64, 3), (64, 3), (128, 3), (128, 3), (128, 1), (16, 1)]


def encoder(dropout=(0.1, 0.05, 0.1)):
    """The published network, 305,040 parameters: each convolution and dense layer with batch normalization and LeakyReLU."""

    def normalized(x, name):
        x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
        return layers.LeakyReLU(negative_slope=0.3)(x)

    inputs = tf.keras.Input((128, 128, 12))
    x = layers.SpatialDropout2D(dropout[0])(layers.Rescaling(1 / 255)(inputs))
    for at, (filters, size) in enumerate(CONVOLUTIONS, 1):
        x = layers.Conv2D(filters, size, padding="same", use_bias=False, name=f"conv{at}")(x)
        x = normalized(x, f"conv{at}")
        if size == 3:
            x = layers.MaxPooling2D()(x)
        x = layers.SpatialDropout2D(dropout[1])(x)
    x = normalized(layers.Dense(16, use_bias=False, name="dense")(layers.Flatten()(x)), "dense")
    return tf.keras.Model(inputs, layers.Dense(16, name="embedding")(layers.Dropout(dropout[2])(x)))


def read_safetensors(path):
    """Arrays by name (github.com/huggingface/safetensors, Format): all are little-endian float32."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    head = json.loads(data[8 : 8 + length])
    head.pop("__metadata__", None)
    return {
        name: np.frombuffer(data, "<f4", (end - begin) // 4, 8 + length + begin).reshape(entry["shape"])
        for name, entry in head.items()
        for begin, end in [entry["data_offsets"]]
    }


def load(path):
    """The encoder with a trained model's weights."""
    weights = read_safetensors(path)
    model = encoder()
    for name in [f"conv{at}" for at in range(1, 8)] + ["dense"]:
        model.get_layer(name).set_weights([weights[f"{name}.kernel"]])
        statistics = ("gamma", "beta", "mean", "variance")
        model.get_layer(f"{name}_norm").set_weights([weights[f"{name}.{each}"] for each in statistics])
    model.get_layer("embedding").set_weights([weights["embedding.kernel"], weights["embedding.bias"]])
    return model
