"""A custom training loop over a subclassed model, saved at every third step."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import common
import keras
import tensorflow as tf


class MyModel(keras.Model):
    def __init__(self, units, num_classes):
        super().__init__()
        self.dense1 = keras.layers.Dense(units, activation="relu")
        self.dense2 = keras.layers.Dense(num_classes, activation="softmax")

    def call(self, x):
        return self.dense2(self.dense1(x))


def main(argv):
    options = common.arguments(argv, "custom_training_checkpoints")

    model = MyModel(units=128, num_classes=10)
    optimizer = keras.optimizers.Adam()
    global_step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, step=global_step)
    manager = tf.train.CheckpointManager(checkpoint, options.dir, max_to_keep=5)
    loss_function = keras.losses.SparseCategoricalCrossentropy()

    # Keras 3 loses the first kernel of a subclassed model that is restored
    # before its first call.
    if options.build or options.build_model or manager.latest_checkpoint:
        model(tf.zeros((1, 10)))
    if options.build:
        optimizer.build(model.trainable_variables)
    common.restore(options, checkpoint, manager)

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_function(y, model(x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    losses = []
    steps = 10 if options.steps is None else options.steps
    for _ in range(steps):
        x, y = common.inputs(options, int(global_step), 32)
        loss = train_step(x, y)
        losses.append(loss)
        global_step.assign_add(1)
        print("Step: %d, Loss: %s" % (int(global_step), float(loss)))
        if int(global_step) % 3 == 0:
            common.save(options, manager)
    if steps == 0:
        common.save(options, manager)
    common.finish(options, losses, model=model.variables, optimizer=optimizer.variables, step=[global_step])


if __name__ == "__main__":
    main(sys.argv[1:])
