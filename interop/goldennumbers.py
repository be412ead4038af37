"""Makes golden numbers of training with real Keras: python interop/goldennumbers.py OUTDIR.

A folder that exists is left alone: goldens are added, never made again in place.
"""

import base64
import hashlib
import json
import os
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
import tensorflow as tf

CASES = {}
MODES = ["function", "eager", "jit"]
ABOUT = """Losses, gradients, weights and optimizer states of Keras's training steps, each case in a file of its own, to
compare another implementation with. Stored is what tf.function gave. "yardsticks" says how far TensorFlow itself is from
that in eager mode and with jit_compile=True: the largest distance in units in the last place ("ulp", large and without
meaning next to zero), the largest difference ("absolute"), and the largest difference divided by the largest absolute
value of its array ("relative").

Weights, inputs and labels follow a formula where they have a "number" or a "rows", instead of being stored. With
h(i, k) = (i · 2654435761 + k · 40503) mod 65536, computed in integers, i the row-major index of an element from 0:

    weights   float32(0.3 · (h(i, number) / 32768 − 1))    number: 0 for the first variable, 1 for the next …
    inputs    float32(h(i, step) / 32768 − 1)              shape [rows, 10], the first step is 1
    labels    (i · 7 + step · 3) mod 10                    shape [rows], int64

in float64 before the last rounding. The "sha256" of a variable is that of its little-endian bytes. Other arrays are
stored: "data" is base64 of little-endian row-major elements. Of a state, w, m and v are the variables and their two
moments in the order of "variables", as they are after so many steps. Step n's loss and gradients are from before its update."""


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


# Formula


def pattern(n, k):
    h = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(k * 40503)) % np.uint64(65536)
    return h.astype(np.float64) / 32768.0 - 1.0


def weights(shape, number):
    return (0.3 * pattern(int(np.prod(shape)), number)).astype(np.float32).reshape(shape)


def batch(rows, step):
    x = pattern(rows * 10, step).astype(np.float32).reshape(rows, 10)
    y = (np.arange(rows, dtype=np.int64) * 7 + step * 3) % 10
    return tf.constant(x), tf.constant(y)


# Results


def array(value):
    value = np.asarray(value)
    raw = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": base64.b64encode(raw).decode()}


def arrays(value):
    """The same tree with arrays encoded."""
    if isinstance(value, dict):
        return {k: arrays(v) for k, v in value.items()}
    if isinstance(value, list):
        return [arrays(v) for v in value]
    return array(value)


def leaves(value):
    if isinstance(value, (dict, list)):
        for v in value.values() if isinstance(value, dict) else value:
            yield from leaves(v)
    else:
        yield np.asarray(value)


def distance(a, b):
    """How far apart two trees of float32 arrays are."""
    result = {"ulp": 0, "absolute": 0.0, "relative": 0.0}
    for x, y in zip(leaves(a), leaves(b), strict=True):
        if x.dtype != np.float32 or x.size == 0:
            assert (x == y).all()
            continue
        bits = [v.reshape(-1).view(np.int32).astype(np.int64) for v in (np.ascontiguousarray(x), np.ascontiguousarray(y))]
        p, q = [np.where(v < 0, -2**31 - v, v) for v in bits]
        difference = float(np.abs(x.astype(np.float64) - y).max())
        result["ulp"] = max(result["ulp"], int(np.abs(p - q).max()))
        result["absolute"] = max(result["absolute"], float("%.2g" % difference))
        result["relative"] = max(result["relative"], float("%.2g" % (difference / (float(np.abs(x).max()) or 1))))
    return result


def compare(results, keys):
    """The yardsticks of a case's results by mode."""
    return {m: {k: distance(results["function"][k], results[m][k]) for k in keys} for m in MODES[1:]}


def compiled(function, mode):
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "jit")


def copies(tensors):
    return [np.array(keras.ops.convert_to_numpy(t)) for t in tensors]


def moments(optimizer):
    m, v = optimizer._momentums, optimizer._velocities
    return {"m": copies(m), "v": copies(v), **({"vhat": copies(optimizer._velocity_hats)} if optimizer.amsgrad else {})}


# Networks


def train(network, mode, rows, steps, gradients_at, states_at):
    """Results of training a network: a function that gives a step and [(variables, optimizer)]."""
    keras.backend.clear_session()
    step, parts = network()
    variables = [v for vs, _ in parts for v in vs]
    for number, v in enumerate(variables):
        v.assign(weights(v.shape, number))
    for vs, optimizer in parts:
        optimizer.build(vs)
    step = compiled(step, mode)
    result = {"losses": [], "gradients": {}, "states": {}, "variables": variables}
    for n in range(1, steps + 1):
        losses, gradients, output = step(*batch(rows, n))
        result["losses"].append(copies(losses))
        if n == 1:
            result["output"] = np.array(output)
        if n in gradients_at:
            result["gradients"][str(n)] = copies(gradients)
        if n in states_at:
            states = [moments(optimizer) for _, optimizer in parts]
            result["states"][str(n)] = {"w": copies(variables), "m": sum((s["m"] for s in states), []), "v": sum((s["v"] for s in states), [])}
    result["losses"] = [np.array(column) for column in zip(*result["losses"])]
    return result


def trained(network, rows, steps, gradients_at, states_at, about):
    results = {m: train(network, m, rows, steps, gradients_at, states_at) for m in MODES}
    stored = results["function"]
    keys = ["output", "losses", "gradients", "states"] if states_at else ["output", "losses", "gradients"]
    described = [
        {"path": v.path, "shape": list(v.shape), "number": i, "sha256": hashlib.sha256(weights(v.shape, i).tobytes()).hexdigest()}
        for i, v in enumerate(stored["variables"])
    ]
    return {
        "about": about, "rows": rows, "steps": steps, "variables": described,
        **{k: arrays(stored[k]) for k in keys},
        "yardsticks": compare(results, keys),
    }


def sequential(loss_function):
    def network():
        model = keras.Sequential([
            keras.Input((10,)), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10, activation="softmax")])
        optimizer = keras.optimizers.Adam()

        def step(x, y):
            with tf.GradientTape() as tape:
                p = model(x)
                loss = loss_function(p)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            return [loss], gradients, p

        return step, [(model.trainable_variables, optimizer)]
    return network


@case
def sequential_sum():
    return trained(sequential(tf.reduce_sum), 1, 1, [1], [], (
        "Sequential: Dense 128 relu, Dense 10 softmax. The loss is the sum of the output, so that the gradients are "
        "rounding noise and only their size means something. output is the model's output at step 1."))


@case
def sequential_neglog():
    return trained(sequential(lambda p: -tf.math.log(p[0, 0])), 1, 20, [1, 10, 20], [1, 10, 20], (
        "The network of sequential-sum with the loss -log p[0, 0] of the output p, default Adam."))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="my_model")
        self.dense1 = keras.layers.Dense(128, activation="relu")
        self.dense2 = keras.layers.Dense(10, activation="softmax")

    def call(self, x):
        return self.dense2(self.dense1(x))


@case
def subclassed():
    def network():
        model, optimizer = Subclassed(), keras.optimizers.Adam()
        crossentropy = keras.losses.SparseCategoricalCrossentropy()
        model(tf.zeros((1, 10)))

        def step(x, y):
            with tf.GradientTape() as tape:
                p = model(x)
                loss = crossentropy(y, p)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            return [loss], gradients, p

        return step, [(model.trainable_variables, optimizer)]

    return trained(network, 32, 100, [1, 20], [1, 20, 100], (
        "Subclassed: dense1 Dense 128 relu, dense2 Dense 10 softmax, SparseCategoricalCrossentropy, default Adam."))


class Half(keras.Model):
    def __init__(self, name):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(64, activation="relu")

    def call(self, x):
        return self.dense(x)


@case
def encoderdecoder():
    def network():
        encoder, decoder = Half("encoder"), Half("decoder")
        optimizer_enc, optimizer_dec = keras.optimizers.Adam(), keras.optimizers.Adam()
        decoder(encoder(tf.zeros((1, 10))))

        def step(x, y):
            with tf.GradientTape() as tape_enc, tf.GradientTape() as tape_dec:
                encoded = encoder(x)
                decoded = decoder(encoded)
                loss_enc, loss_dec = tf.reduce_sum(encoded), tf.reduce_sum(decoded)
            gradients_enc = tape_enc.gradient(loss_enc, encoder.trainable_variables)
            gradients_dec = tape_dec.gradient(loss_dec, decoder.trainable_variables)
            optimizer_enc.apply_gradients(zip(gradients_enc, encoder.trainable_variables))
            optimizer_dec.apply_gradients(zip(gradients_dec, decoder.trainable_variables))
            return [loss_enc, loss_dec], gradients_enc + gradients_dec, tf.reduce_sum(decoded, axis=1)

        return step, [(encoder.trainable_variables, optimizer_enc), (decoder.trainable_variables, optimizer_dec)]

    return trained(network, 32, 100, [1], [1, 20, 100], (
        "Encoder and decoder, each one Dense 64 relu, two tapes, two default Adams. losses: sums of the encoder's and of "
        "the decoder's output; output: the decoder's at step 1, summed over each row."))


# Adam


W0 = np.array([[.1, -.2, .3], [.4, .5, -.6]], np.float32)
B0 = np.array([.01, .02, -.03], np.float32)
G = np.array([[.5, -.25, 1], [2, -3, .125]], np.float32)
GB = np.array([.1, -.2, .3], np.float32)


def schedule(value):
    if isinstance(value, dict) and "class" in value:
        return getattr(keras.optimizers.schedules, value["class"])(**value["arguments"])
    return value


def adam_run(options, start, gradients, mode):
    keras.backend.clear_session()
    variables = [keras.Variable(v) for v in start]
    optimizer = keras.optimizers.Adam(**{k: schedule(v) for k, v in options.items()})
    optimizer.build(variables)
    step = compiled(lambda *g: optimizer.apply_gradients(zip(g, variables)), mode)
    states = []
    for g in gradients:
        step(*map(tf.constant, g))
        states.append({"w": copies(variables), **moments(optimizer)})
    return {"states": states}


def adam_variants():
    decay = {"initial_learning_rate": 0.1, "decay_steps": 2, "decay_rate": 0.5}
    yield "lr=0.1", {"learning_rate": 0.1}
    yield "lr=0.001", {}
    for option in ({"weight_decay": 0.01}, {"clipnorm": 0.1}, {"clipvalue": 0.1}, {"global_clipnorm": 0.1}, {"amsgrad": True},
                   {"epsilon": 0.1}, {"beta_1": 0.8, "beta_2": 0.99}, {"clipnorm": 100.0}, {"global_clipnorm": 100.0}):
        yield " ".join("%s=%s" % kv for kv in option.items()), {"learning_rate": 0.1, **option}
    for staircase in (False, True):
        yield "ExponentialDecay staircase=%s" % staircase, {
            "learning_rate": {"class": "ExponentialDecay", "arguments": {**decay, "staircase": staircase}}}


def dense_run(mode):
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.set_weights([W0, np.zeros(3, np.float32)])
    optimizer, crossentropy = keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy()
    optimizer.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = crossentropy(y, model(x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss, gradients

    step = compiled(step, mode)
    result = {"losses": [], "gradients": [], "states": []}
    for _ in range(3):
        loss, gradients = step(tf.constant([[1., 2.], [-1., .5]]), tf.constant([2, 0], tf.int64))
        result["losses"].append(loss.numpy())
        result["gradients"].append(copies(gradients))
        result["states"].append({"w": copies(model.trainable_variables), **moments(optimizer)})
    result["losses"] = np.array(result["losses"])
    return result


@case
def adam():
    steps = [[G, GB], [-G / 2, GB], [G, GB]]
    variants = []
    for name, options in adam_variants():
        results = {m: adam_run(options, [W0, B0], steps, m) for m in MODES}
        variants.append({"name": name, "options": options, "states": arrays(results["function"]["states"]), "yardsticks": compare(results, ["states"])})
    results = {m: dense_run(m) for m in MODES}
    return {
        "about": "Adam(**options) on two variables, three steps with given gradients; states are after each step. dense: "
                 "three steps of Dense(3, softmax) from the first variable and a zero bias, x = [[1, 2], [-1, 0.5]], "
                 "y = [2, 0], SparseCategoricalCrossentropy, default Adam.",
        "variables": arrays([W0, B0]), "gradients": arrays(steps), "variants": variants,
        "dense": {**arrays(results["function"]), "yardsticks": compare(results, ["losses", "gradients", "states"])},
    }


# Losses and schedules


def crossentropy_cases():
    p, z = [[.7, .2, .1], [0, 1, 0], [.2, .2, .2]], [[-100, 0, 100]]
    yield "probabilities", "probabilities", p, [1, 0, 2]
    yield "labels [rows, 1]", "probabilities", p, [[1], [0], [2]]
    for y in range(3):
        yield "logits y=%d" % y, "logits", z, [y]
        yield "softmax y=%d" % y, "softmax", z, [y]
        yield "softmax forgotten y=%d" % y, "probabilities", tf.nn.softmax(tf.constant(z, tf.float32)).numpy(), [y]
    yield "clipped", "probabilities", [[0, 1e-8, 2e-7, .5], [1, 0, 0, 0], [1e-7, 1 - 1e-7, 0, 0], [1, 1, 1, 1]], [1, 0, 0, 3]
    x = pattern(80, 1).astype(np.float32).reshape(8, 10) * 4
    y = (np.arange(8) * 7 + 3) % 10
    yield "rows", "logits", x, y
    yield "softmax rows", "softmax", x, y
    yield "probability rows", "probabilities", tf.nn.softmax(tf.constant(x)).numpy(), y
    yield "large", "logits", [[1e4, -1e4, 0], [88, 89, 90], [3e38, -3e38, 0]], [1, 2, 0]


def crossentropy_run(kind, x, y, mode):
    def loss(x, y, reduction):
        p = keras.activations.softmax(x) if kind == "softmax" else x
        return keras.losses.SparseCategoricalCrossentropy(from_logits=kind == "logits", reduction=reduction)(y, p)

    def both(x, y):
        with tf.GradientTape() as tape:
            tape.watch(x)
            mean = loss(x, y, "sum_over_batch_size")
        return {"losses": loss(x, y, None), "mean": mean, "gradient": tape.gradient(mean, x)}

    return {k: v.numpy() for k, v in compiled(both, mode)(tf.constant(x, tf.float32), tf.constant(y, tf.int64)).items()}


@case
def crossentropy():
    cases = []
    for name, kind, x, y in crossentropy_cases():
        results = {m: crossentropy_run(kind, x, y, m) for m in MODES}
        cases.append({
            "name": name, "kind": kind, "x": array(np.array(x, np.float32)), "y": array(np.array(y, np.int64)),
            **arrays(results["function"]), "yardsticks": compare(results, ["losses", "mean", "gradient"])})
    return {
        "about": "SparseCategoricalCrossentropy of labels y and x, which are probabilities, logits (from_logits=True) or "
                 "logits that pass the softmax activation first (softmax). losses is per row, gradient is of the mean "
                 "with respect to x.",
        "cases": cases,
    }


@case
def schedules():
    steps = [0, 1, 2, 5, 10, 100, 1000]
    found = []
    for name, variants in {
        "ExponentialDecay": [(0.1, 2, 0.5), (0.1, 2, 0.5, True), (0.001, 1000, 0.96)],
        "PiecewiseConstantDecay": [([2, 5, 100], [1.0, 0.5, 0.25, 0.1]), ([1], [0.01, 0.001])],
        "CosineDecay": [(0.1, 10), (0.1, 300, 0.1), (0.0, 100, 0.01, "CosineDecay", 0.1, 5)],
        "InverseTimeDecay": [(0.1, 2, 0.5), (0.1, 2, 0.5, True)],
        "PolynomialDecay": [(0.1, 10), (0.1, 300, 0.01, 2.0), (0.1, 7, 0.01, 0.5, True)],
    }.items():
        for arguments in variants:
            made = getattr(keras.optimizers.schedules, name)(*arguments)
            values = {m: [] for m in MODES}
            for mode in MODES:
                optimizer = keras.optimizers.Adam(made)
                rate = compiled(lambda: tf.convert_to_tensor(optimizer.learning_rate), mode)
                for step in steps:
                    optimizer.iterations.assign(step)
                    values[mode].append(np.float32(rate().numpy()))
            results = {m: {"values": np.array(v, np.float32)} for m, v in values.items()}
            described = {k: v for k, v in made.get_config().items() if k != "name"}
            found.append({"class": name, "arguments": described, **arrays(results["function"]), "yardsticks": compare(results, ["values"])})
    return {"about": "Learning rates that an optimizer uses after so many iterations.", "steps": steps, "schedules": found}


# Files


def flat(text):
    """Indented JSON with its innermost lists and objects on one line each."""
    def join(match):
        return re.sub(r"(?<=[{[]) | (?=[}\]]$)", "", re.sub(r"\s*\n\s*", " ", match[0]))
    return re.sub(r"{[^{}]*}", join, re.sub(r"\[[^][{}]*]", join, text))


def manifest(directory):
    lines = ["# tensorflow-2.21.0-numbers", "", ABOUT, "",
             "Made with TensorFlow %s, Keras %s, NumPy %s, Python %d.%d, Linux, CPU:" % (
                 tf.__version__, keras.__version__, np.__version__, *sys.version_info[:2]), "",
             "    python interop/goldennumbers.py testdata/tensorflow-2.21.0-numbers", "",
             "| file | bytes | SHA-256 |", "| --- | --- | --- |"]
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as f:
            content = f.read()
        lines.append("| %s | %d | %s |" % (name, len(content), hashlib.sha256(content).hexdigest()))
    with open(os.path.join(directory, "MANIFEST.md"), "w") as f:
        f.write("\n".join(lines) + "\n")


def main(directory):
    if os.path.exists(directory):
        sys.exit("exists: " + directory)
    made = {name: function() for name, function in CASES.items()}
    os.makedirs(directory)
    for name, value in made.items():
        with open(os.path.join(directory, name + ".json"), "w") as f:
            f.write(flat(json.dumps(value, indent=1)) + "\n")
    manifest(directory)
    print("made:", directory)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python interop/goldennumbers.py OUTDIR")
    main(sys.argv[1])
