"""Checkpoints of what holds or is no variable: lists, dicts, tuples, tables, states, an iterator, registered savers.

    python containers.py save      writes theirs/<case>
    python containers.py load      restores ours/<case> and prints {case: values} as JSON

What Go writes has values one larger, and words with "!" behind them.
"""

import collections
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from tensorflow.python.saved_model import registration


class State(tf.train.experimental.PythonState):
    def __init__(self, text=""):
        self.text = text

    def serialize(self):
        return self.text

    def deserialize(self, value):
        self.text = value.decode()


class Registered(tf.__internal__.tracking.AutoTrackable):
    def __init__(self, value):
        self.value = tf.constant(value, tf.float32)


def save_registered(trackables, file_prefix):
    names = [path + "/value" for path in trackables]
    tf.raw_ops.SaveV2(prefix=file_prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[o.value for o in trackables.values()])
    return file_prefix


def restore_registered(trackables, merged_prefix):
    names = [path + "/value" for path in trackables]
    values = tf.raw_ops.RestoreV2(prefix=merged_prefix, tensor_names=names, shape_and_slices=[""] * len(names), dtypes=[tf.float32] * len(names))
    for o, value in zip(trackables.values(), values):
        o.value = value


registration.register_checkpoint_saver(
    package="Custom", name="pp", predicate=lambda o: isinstance(o, Registered), save_fn=save_registered, restore_fn=restore_registered
)

Point = collections.namedtuple("Point", "x y")


class Objects:
    """Every case: the objects of a checkpoint and how to show their values."""

    def __init__(self, blank):
        self.blank = blank

    def variable(self, value):
        return tf.Variable(0.0 if self.blank else float(value), name="v")

    def lists(self):
        a, b, c, d = (self.variable(i) for i in (1, 2, 3, 4))
        objects = {
            "gaps": [10, 20, a, 30, b],
            "nested": [[c, a, 1, d]],
            "twice": [1, 2, a, 1, 2, a],
            "group": (b, 2, d),
            "named": Point(c, d),
            "empty": [],
            "numbers": [1, 2, 3],
        }
        return objects, lambda: [float(v) for v in (a, b, c, d)]

    def dicts(self):
        a, b, c = (self.variable(i) for i in (1, 2, 3))
        module = tf.Module()
        module.later = c
        module.d = {"b": a, "a": b, "plain": 5, "list": [c], "x/y.z": {"in": a}}
        return {"m": module}, lambda: [float(v) for v in (a, b, c)]

    def tables(self):
        def table(key, value, entries, default):
            made = tf.lookup.experimental.MutableHashTable(key, value, default)
            if not self.blank:
                made.insert(tf.constant([k for k, _ in entries], key), tf.constant([v for _, v in entries], value))
            return made

        tables = {
            "counts": table(tf.string, tf.int64, [("one", 1), ("two", 2), ("three", 3), ("", 4)], -1),
            "names": table(tf.int64, tf.string, [(1, "one"), (-2, "two"), (3, "")], "none"),
            "points": table(tf.int64, tf.float32, [(i, [i, i / 2]) for i in range(20)], [0.0, 0.0]),
            "flags": table(tf.string, tf.bool, [("yes", True), ("no", False)], False),
        }
        self.made = tables

        def show():
            result = {}
            for name, made in tables.items():
                keys, values = made.export()
                plain = lambda t: [x.decode() if isinstance(x, bytes) else x for x in t.numpy().tolist()]
                result[name] = sorted([[str(k), v] for k, v in zip(plain(keys), plain(values))])
            return result

        return tables, show

    def generator(self):
        made = tf.random.Generator.from_seed(3)
        if not self.blank:
            made.normal([5])
        return {"g": made}, lambda: [int(x) for x in made.state.numpy()]

    def state(self):
        made = State("" if self.blank else "words")
        v = self.variable(1)
        return {"s": made, "v": v}, lambda: [made.text, float(v)]

    def iterator(self):
        made = iter(tf.data.Dataset.range(100).shuffle(10, seed=1).batch(2))
        if not self.blank:
            for _ in range(3):
                next(made)
        return {"it": made}, lambda: next(made).numpy().tolist()

    def registered(self):
        a, b = (Registered(0.0 if self.blank else i) for i in (1, 2))
        m = tf.Module()
        m.r = b
        v = self.variable(3)
        return {"a": a, "m": m, "v": v}, lambda: [float(a.value), float(b.value), float(v)]


CASES = ["lists", "dicts", "tables", "generator", "state", "iterator", "registered"]


def main():
    shown = {}
    for case in CASES:
        objects, show = getattr(Objects(sys.argv[1] == "load"), case)()
        checkpoint = tf.train.Checkpoint(**objects)
        if sys.argv[1] == "save":
            checkpoint.write(os.path.join("theirs", case))
        else:
            checkpoint.read(os.path.join("ours", case)).assert_consumed()
        shown[case] = show()
    print(json.dumps(shown))


main()
