"""Trains networks with TensorFlow's tf.function for the program peers.

Reads requests from standard input and answers each, as worker.go says.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

BATCHES, CHECK_STEPS = 16, 20
NETWORKS = {  # as in network.go: features, units, rows, loss
    "sequential": (10, (128, 10), 1, "sum"),
    "subclassed": (10, (128, 10), 32, "crossentropy"),
    "encoderdecoder": (10, (64, 64), 32, "halves"),
    "digits": (784, (128, 10), 64, "crossentropy"),
}


def pattern(shape, number, scale):
    n = int(np.prod(shape))
    h = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(number * 40503)) % np.uint64(65536)
    return (scale * (h.astype(np.float64) / 32768.0 - 1.0)).astype(np.float32).reshape(shape)


def halves(first, second):
    encoder, decoder = keras.optimizers.Adam(), keras.optimizers.Adam()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape_enc, tf.GradientTape() as tape_dec:
            encoded = first(x)
            decoded = second(encoded)
            loss_enc, loss_dec = tf.reduce_sum(encoded), tf.reduce_sum(decoded)
        gradients_enc = tape_enc.gradient(loss_enc, first.trainable_variables)
        gradients_dec = tape_dec.gradient(loss_dec, second.trainable_variables)
        encoder.apply_gradients(zip(gradients_enc, first.trainable_variables))
        decoder.apply_gradients(zip(gradients_dec, second.trainable_variables))
        return loss_dec

    return step


def classifier(first, second, loss_name):
    adam, crossentropy = keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy()
    variables = first.trainable_variables + second.trainable_variables

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            p = second(first(x))
            loss = tf.reduce_sum(p) if loss_name == "sum" else crossentropy(y, p)
        adam.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return step


class Trainer:
    def __init__(self, features, units, rows, loss):
        last = "relu" if loss == "halves" else "softmax"
        first = keras.Sequential([keras.Input((features,)), keras.layers.Dense(units[0], activation="relu")])
        second = keras.Sequential([keras.Input((units[0],)), keras.layers.Dense(units[1], activation=last)])
        for number, v in enumerate(first.variables + second.variables):
            v.assign(pattern(v.shape, number, 0.05 if features > 100 else 0.3))
        self.step = halves(first, second) if loss == "halves" else classifier(first, second, loss)
        self.batches = [
            (tf.constant(pattern((rows, features), i, 1.0)), tf.constant((np.arange(rows, dtype=np.int64) * 7 + i * 3) % 10))
            for i in range(1, BATCHES + 1)
        ]
        losses = [self.next() for self.done in range(CHECK_STEPS)]
        self.first, self.last = losses[0], losses[-1]

    def next(self):
        return float(self.step(*self.batches[self.done % BATCHES]))

    def run(self, seconds):
        begin, steps = time.perf_counter(), 0
        while True:
            self.done += 1
            self.next()
            steps += 1
            passed = time.perf_counter() - begin
            if passed >= seconds:
                return {"Steps": steps, "Seconds": passed, "First": self.first, "Last": self.last, "Error": ""}


def main():
    trainers = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request["Network"]
        if name not in trainers:
            trainers[name] = Trainer(*NETWORKS[name])
        print(json.dumps(trainers[name].run(request["Seconds"])), flush=True)


main()
