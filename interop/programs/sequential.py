"""Find the latest checkpoint of a simple model, take steps, save each one."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import common
import keras
import tensorflow as tf


def main(argv):
    options = common.arguments(argv, "training_checkpoints")

    model = keras.Sequential([
        keras.Input((10,)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ])
    optimizer = keras.optimizers.Adam()
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    manager = tf.train.CheckpointManager(checkpoint, options.dir, max_to_keep=5)

    if options.build:
        optimizer.build(model.trainable_variables)
    common.restore(options, checkpoint, manager)

    losses = []
    steps = 1 if options.steps is None else options.steps
    for _ in range(steps):
        x, _ = common.inputs(options, int(optimizer.iterations), 1)
        with tf.GradientTape() as tape:
            predictions = model(x)
            if options.loss == "sum":
                loss = tf.reduce_sum(predictions)
            else:
                loss = -tf.math.log(predictions[0, 0])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        losses.append(loss)
        common.save(options, manager)
    if steps == 0:
        common.save(options, manager)
    common.finish(options, losses, model=model.variables, optimizer=optimizer.variables)


if __name__ == "__main__":
    main(sys.argv[1:])
