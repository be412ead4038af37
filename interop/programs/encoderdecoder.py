"""Two networks trained together, each with its own checkpoints."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import common
import keras
import tensorflow as tf


class Encoder(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units, activation="relu")

    def call(self, x):
        return self.dense(x)


class Decoder(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units, activation="relu")

    def call(self, x):
        return self.dense(x)


def main(argv):
    options = common.arguments(argv, ".")

    encoder = Encoder(units=64)
    decoder = Decoder(units=64)
    optimizer_enc = keras.optimizers.Adam()
    optimizer_dec = keras.optimizers.Adam()
    checkpoint_enc = tf.train.Checkpoint(encoder=encoder, optimizer=optimizer_enc)
    checkpoint_dec = tf.train.Checkpoint(decoder=decoder, optimizer=optimizer_dec)
    manager_enc = tf.train.CheckpointManager(checkpoint_enc, os.path.join(options.dir, "encoder_checkpoints"), max_to_keep=5)
    manager_dec = tf.train.CheckpointManager(checkpoint_dec, os.path.join(options.dir, "decoder_checkpoints"), max_to_keep=5)

    if options.build or options.build_model or manager_enc.latest_checkpoint or manager_dec.latest_checkpoint:
        decoder(encoder(tf.zeros((1, 10))))
    if options.build:
        optimizer_enc.build(encoder.trainable_variables)
        optimizer_dec.build(decoder.trainable_variables)
    common.restore(options, checkpoint_enc, manager_enc)
    common.restore(options, checkpoint_dec, manager_dec)

    losses = []
    steps = 1 if options.steps is None else options.steps
    for _ in range(steps):
        x, _ = common.inputs(options, int(optimizer_enc.iterations), 32)
        with tf.GradientTape() as tape_enc, tf.GradientTape() as tape_dec:
            encoded = encoder(x)
            decoded = decoder(encoded)
            loss_enc = tf.reduce_sum(encoded)
            loss_dec = tf.reduce_sum(decoded)
        gradients_enc = tape_enc.gradient(loss_enc, encoder.trainable_variables)
        gradients_dec = tape_dec.gradient(loss_dec, decoder.trainable_variables)
        optimizer_enc.apply_gradients(zip(gradients_enc, encoder.trainable_variables))
        optimizer_dec.apply_gradients(zip(gradients_dec, decoder.trainable_variables))
        losses += [loss_enc, loss_dec]
        common.save(options, manager_enc)
        common.save(options, manager_dec)
    if steps == 0:
        common.save(options, manager_enc)
        common.save(options, manager_dec)
    common.finish(
        options, losses,
        encoder=encoder.variables, optimizer_enc=optimizer_enc.variables,
        decoder=decoder.variables, optimizer_dec=optimizer_dec.variables,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
