"""What the three training programs share: flags, inputs, results."""

import argparse
import base64
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf


used = []  # inputs of this run


def arguments(argv, directory):
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", default=directory, help="where checkpoints live; the second network of encoderdecoder gets its own")
    parser.add_argument("--steps", type=int, default=None, help="training steps of this run, 0 saves what restoring gave")
    parser.add_argument("--seed", type=int, default=None, help="initial weights and, with --fixed-inputs, inputs")
    parser.add_argument("--fixed-inputs", action="store_true", help="inputs depend only on seed and number of the step")
    parser.add_argument("--build", action="store_true", help="build model and optimizer before restoring or saving")
    parser.add_argument("--build-model", action="store_true", help="build the model only")
    parser.add_argument("--assert-consumed", action="store_true", help="fail unless all of a checkpoint found its place; needs --build")
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--loss", choices=["sum", "neglog"], default="sum", help="sequential only")
    parser.add_argument("--losses-out", help="JSON list of the losses of this run's steps")
    parser.add_argument("--inputs-out", help="JSON list of the inputs and labels of this run's steps")
    parser.add_argument("--dump", help="JSON of every variable after the run")
    options = parser.parse_args(argv)
    used.clear()
    if options.seed is not None:
        keras.utils.set_random_seed(options.seed)
    return options


def inputs(options, step, rows):
    """Inputs of shape (rows, 10) and labels 0…9 of a step."""
    if options.fixed_inputs:
        generator = np.random.Generator(np.random.PCG64([options.seed or 0, step]))
    else:
        generator = np.random.default_rng()
    x = generator.standard_normal((rows, 10)).astype(np.float32)
    y = generator.integers(0, 10, size=rows)
    used.append({"x": base64.b64encode(x.tobytes()).decode(), "shape": [rows, 10], "y": y.tolist()})
    return tf.constant(x), tf.constant(y)


def restore(options, checkpoint, manager):
    """Restores the latest checkpoint of a manager; says what it did."""
    if not manager.latest_checkpoint:
        print("No checkpoint found, starting from scratch.")
        return
    status = checkpoint.restore(manager.latest_checkpoint)
    if options.assert_consumed:
        status.assert_consumed()
    print("Restored from checkpoint:", manager.latest_checkpoint)


def save(options, manager):
    if not options.no_save:
        print("Saved checkpoint at:", manager.save())


def finish(options, losses, **models):
    """Writes losses and variables for whoever asked."""
    if options.losses_out:
        with open(options.losses_out, "w") as f:
            json.dump([float(loss) for loss in losses], f)
    if options.inputs_out:
        with open(options.inputs_out, "w") as f:
            json.dump(used, f)
    if options.dump:
        values = {}
        for name, variables in models.items():
            for i, variable in enumerate(variables):
                value = np.asarray(variable)
                values["%s/%d" % (name, i)] = {
                    "name": getattr(variable, "path", None) or variable.name,
                    "dtype": value.dtype.name,
                    "shape": list(value.shape),
                    "data": base64.b64encode(value.tobytes()).decode(),
                }
        with open(options.dump, "w") as f:
            json.dump(values, f)
