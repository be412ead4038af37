"""Writes checkpoints in several data files with TensorFlow.

    shards.py SPEC        variables and states of a JSON file, divided by size and group
    shards.py --tasks DIR variables that live on three tasks of a cluster

SPEC is {"prefix", "method": "write" | "save", "limit": bytes or 0, "groups": {key: name},
"variables": {name: tensor}, "states": {name: base64 text}}; a tensor is
{"dtype", "shape", "data" | "strings"} with little-endian base64.
"""

import base64
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

experimental = tf.train.experimental


class State(experimental.PythonState):
    def __init__(self, text):
        self.text = text

    def serialize(self):
        return self.text

    def deserialize(self, text):
        self.text = text


class Policy(experimental.ShardingCallback):
    """Groups in the order of first use, and MaxShardSizePolicy in each."""

    def __init__(self, groups, limit):
        self.groups = groups
        self.limit = limit

    @property
    def description(self):
        return "groups, then size"

    def __call__(self, tensors):
        groups = {}
        for tensor in tensors:
            groups.setdefault(self.groups.get(tensor.checkpoint_key, ""), []).append(tensor)
        inner = experimental.MaxShardSizePolicy(self.limit) if self.limit else experimental.ShardByTaskPolicy()
        return [shard for group in groups.values() for shard in inner(group)]


def decode(spec):
    dtype = tf.as_dtype(spec["dtype"])
    if dtype == tf.string:
        elements = [base64.b64decode(s) for s in spec.get("strings", [])]
        return tf.reshape(tf.constant(elements, tf.string, [len(elements)]), spec["shape"])
    raw = np.frombuffer(base64.b64decode(spec.get("data", "")), dtype.as_numpy_dtype)
    return tf.constant(raw.reshape(spec["shape"]), dtype)


def write(spec):
    objects = {name: tf.Variable(decode(v), name="Variable") for name, v in spec["variables"].items()}
    objects.update({name: State(base64.b64decode(text)) for name, text in spec["states"].items()})
    options = tf.train.CheckpointOptions(experimental_sharding_callback=Policy(spec["groups"], spec["limit"]))
    getattr(tf.train.Checkpoint(**objects), spec["method"])(spec["prefix"], options=options)


def tasks(directory):
    servers = [tf.distribute.Server.create_local_server() for _ in range(3)]
    cluster = tf.train.ClusterSpec({"worker": [s.target[len("grpc://"):] for s in servers]})
    tf.config.experimental_connect_to_cluster(cluster)
    objects = {}
    for name, task in (("a", 2), ("b", 0), ("c", 1), ("d", 2)):
        with tf.device("/job:worker/task:%d/cpu:0" % task):
            objects[name] = tf.Variable(np.arange(3, dtype=np.float32) + task, name="Variable")
    checkpoint = tf.train.Checkpoint(**objects)
    checkpoint.write(os.path.join(directory, "default"))
    options = tf.train.CheckpointOptions(experimental_sharding_callback=experimental.MaxShardSizePolicy(8))
    checkpoint.write(os.path.join(directory, "limited"), options=options)


def main(argv):
    if argv[0] == "--tasks":
        tasks(argv[1])
        return
    with open(argv[0]) as f:
        write(json.load(f))


if __name__ == "__main__":
    main(sys.argv[1:])
