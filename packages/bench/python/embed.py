"""Images a second of the same encoder in Keras and in ONNX Runtime.

Reads a line of JSON on stdin: {"tiles": path of uint8 [n, 12, 128, 128], "onnx": path, "weights": path of safetensors, "repeats": n}.
Prints JSON: images per second of both, and their vectors.
"""
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import onnxruntime
import tensorflow as tf
from loc2vec_keras import load
from task import read_task

task = read_task()
tiles = np.fromfile(task["tiles"], np.uint8).reshape(-1, 12, 128, 128)


def timed(run):
    run()
    rates = []
    for _ in range(task["repeats"]):
        begin = time.perf_counter()
        vectors = run()
        rates.append(len(tiles) / (time.perf_counter() - begin))
    return sorted(rates)[len(rates) // 2], np.asarray(vectors).tolist()


model = load(task["weights"])
infer = tf.function(lambda images: model(tf.cast(images, tf.float32), training=False))
last = tiles.transpose(0, 2, 3, 1).copy()
keras_rate, keras_vectors = timed(lambda: infer(tf.constant(last)).numpy())
session = onnxruntime.InferenceSession(task["onnx"])
onnx_rate, onnx_vectors = timed(lambda: session.run(["embedding"], {"tiles": tiles})[0])
print(
    json.dumps(
        {
            "tensorflow": tf.__version__,
            "onnxruntime": onnxruntime.__version__,
            "keras_images_per_s": keras_rate,
            "onnx_images_per_s": onnx_rate,
            "keras": keras_vectors,
            "onnx": onnx_vectors,
        }
    )
)
