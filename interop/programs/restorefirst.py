"""What Keras does with a subclassed model that is restored before its first call.

Restores the latest checkpoint of program subclassed twice, into a model that was
never called and into one that was, and takes one step with each on the same
input. Gives for each the loss before the step, how far the first kernel is from
that of the checkpoint, the number of trainable variables, and what failed.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import json

import common
import keras
import numpy as np
import tensorflow as tf

from subclassed import MyModel


def step(directory, x, y, called):
    model = MyModel(units=128, num_classes=10)
    optimizer = keras.optimizers.Adam()
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, step=tf.Variable(0, dtype=tf.int64))
    latest = tf.train.latest_checkpoint(directory)
    if called:
        model(tf.zeros((1, 10)))
    checkpoint.restore(latest)
    loss_function = keras.losses.SparseCategoricalCrossentropy()
    with tf.GradientTape() as tape:
        loss = loss_function(y, model(x))
    stored = tf.train.load_checkpoint(latest).get_tensor("model/dense1/_kernel/.ATTRIBUTES/VARIABLE_VALUE")
    result = {
        "loss": float(loss),
        "kernel": float(np.max(np.abs(np.asarray(model.dense1.kernel) - stored))),
        "variables": len(model.trainable_variables),
        "error": "",
    }
    try:
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    except ValueError as e:
        result["error"] = str(e)
    return result


def main(argv):
    options = common.arguments(argv, "custom_training_checkpoints")
    x, y = common.inputs(options, 0, 32)
    print(json.dumps({
        "called": step(options.dir, x, y, True),
        "first": step(options.dir, x, y, False),
    }))
    common.finish(options, [])


if __name__ == "__main__":
    main(sys.argv[1:])
