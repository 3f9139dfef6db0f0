"""What a Python user would write: the network (loc2vec_keras) and loss of Loc2Vec in Keras, timed on the mini-batches that are given.

Reads a line of JSON on stdin: {"tiles": path of uint8 [120, 12, 128, 128], "triplets": [[anchor, positive, negative] of 120 rows],
"steps": n, "repeats": n}. Prints JSON: steps per second with each image once (120), the same in mixed precision (bfloat16),
and with a tower for each role of each triplet (300 images), the count of parameters, the losses of the first steps and
peak memory.
"""
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np
import tensorflow as tf
from loc2vec_keras import encoder
from task import peak_rss_mb, read_task

task = read_task()
triplets = np.array(task["triplets"], np.int32)
tiles = np.fromfile(task["tiles"], np.uint8).reshape(-1, 12, 128, 128).transpose(0, 2, 3, 1).copy()

def soft_pn(anchor, positive, negative):
    def distance(a, b):
        return tf.sqrt(tf.reduce_sum(tf.square(a - b), axis=1) + 1e-12)

    near = distance(anchor, positive)
    far = tf.minimum(distance(anchor, negative), distance(positive, negative))
    return tf.reduce_mean(tf.square(tf.nn.sigmoid(near - far)))


def stepper(model, rows_once):
    optimizer = tf.keras.optimizers.Adam(1e-3)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            vectors = tf.cast(model(tf.cast(images, tf.float32), training=True), tf.float32)
            if rows_once:
                a, p, n = (tf.gather(vectors, triplets[:, i]) for i in range(3))
            else:
                a, p, n = tf.split(vectors, 3)
            loss = soft_pn(a, p, n)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    return step


def timed(step, images):
    images = tf.constant(images)
    first = float(step(images))
    rates = []
    for _ in range(task["repeats"]):
        begin = time.perf_counter()
        for _ in range(task["steps"]):
            float(step(images))
        rates.append(task["steps"] / (time.perf_counter() - begin))
    return first, sorted(rates)[len(rates) // 2]


model = encoder()
tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
mixed_model = encoder()
tf.keras.mixed_precision.set_global_policy("float32")
first_loss, once = timed(stepper(model, True), tiles)
mixed_loss, mixed = timed(stepper(mixed_model, True), tiles)
_, naive = timed(stepper(encoder(), False), np.concatenate([tiles[triplets[:, i]] for i in range(3)]))
side = 2048
a = tf.random.normal((side, side))
multiply = tf.function(lambda: tf.reduce_sum(a @ a))
float(multiply())
begin = time.perf_counter()
for _ in range(5):
    float(multiply())
print(
    json.dumps(
        {
            "tensorflow": tf.__version__,
            "parameters": model.count_params(),
            "first_loss": first_loss,
            "steps_per_s": once,
            "mixed_first_loss": mixed_loss,
            "mixed_steps_per_s": mixed,
            "naive_steps_per_s": naive,
            "matmul_gflops": 5 * 2 * side**3 / (time.perf_counter() - begin) / 1e9,
            "peak_rss_mb": peak_rss_mb(),
        }
    )
)
