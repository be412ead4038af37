"""Calls of server.py that run the ops below tf.train.Checkpoint.

Names are bytes, so they travel in base64. Tensors may have any rank, also one
that NumPy cannot have.
"""

import base64
import hashlib
import os

import numpy as np
import tensorflow as tf

RANKS = 32  # of any NumPy

# Bits of a byte that mean something.
NARROW = {"int4": 15, "uint4": 15, "int2": 3, "uint2": 3, "float4_e2m1fn": 15}

CALLS = {}


def call(function):
    CALLS[function.__name__] = function
    return function


def decode(spec):
    """The value of {"dtype", "shape", "data" | "strings"}."""
    dtype = tf.as_dtype(spec["dtype"])
    if dtype == tf.string:
        elements = [base64.b64decode(s) for s in spec.get("strings", [])]
        flat = tf.constant(elements, tf.string, [len(elements)])
        return tf.reshape(flat, spec["shape"])
    raw = np.frombuffer(base64.b64decode(spec.get("data", "")), dtype.as_numpy_dtype)
    if len(spec["shape"]) > RANKS:
        return tf.reshape(tf.constant(raw, dtype), spec["shape"])
    return tf.constant(raw.reshape(spec["shape"]), dtype)


def digest(value):
    """SHA-256 of what a bundle stores, each string after its length in 8 bytes; then dtype and shape."""
    if len(value.shape) > RANKS:
        flat = tf.reshape(value, [-1]).numpy()
    else:
        # A scalar string is bytes, of which NumPy's own strings drop zeros at the end.
        flat = np.asarray(value.numpy(), object if value.dtype == tf.string else None).reshape(-1)
    if value.dtype == tf.string:
        raw = b"".join(len(e).to_bytes(8, "little") + e for e in flat)
    else:
        raw = flat.tobytes()
        if value.dtype.name in NARROW:
            raw = bytes(b & NARROW[value.dtype.name] for b in raw)
    return "%s %s [%s]" % (hashlib.sha256(raw).hexdigest(), value.dtype.name, ",".join("%d" % n for n in value.shape))


def strings(encoded):
    return tf.constant([base64.b64decode(s) for s in encoded], tf.string, [len(encoded)])


def save(prefix, names, specs, tensors):
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=strings(names), shape_and_slices=tf.constant(specs, tf.string, [len(specs)]),
        tensors=[decode(t) for t in tensors])


def restore(prefix, names, specs, dtypes):
    if not names:
        return []
    values = tf.raw_ops.RestoreV2(
        prefix=prefix, tensor_names=strings(names), shape_and_slices=tf.constant(specs, tf.string, [len(specs)]),
        dtypes=[tf.as_dtype(d) for d in dtypes])
    return [digest(v) for v in values]


@call
def raw_cases(cases):
    """Runs SaveV2 and MergeV2Checkpoints for each case, then RestoreV2, whose digests come back.

    The error of a case is its "error".
    """
    answers = []
    for case in cases:
        answer = {"digests": [], "error": ""}
        try:
            for one in case.get("saves") or []:
                save(**one)
            for one in case.get("merges") or []:
                os.makedirs(os.path.dirname(one["output"]), exist_ok=True)
                tf.raw_ops.MergeV2Checkpoints(
                    checkpoint_prefixes=one["inputs"], destination_prefix=one["output"], delete_old_dirs=one["delete_old_dirs"])
            for one in case.get("reads") or []:
                answer["digests"].append(restore(**one))
        except tf.errors.OpError as e:
            answer["error"] = "%s: %s" % (type(e).__name__, e)
        answers.append(answer)
    return answers


@call
def sharded_filenames(basename, shards):
    return [tf.raw_ops.ShardedFilename(basename=basename, shard=i, num_shards=shards).numpy().decode() for i in range(shards)]


@call
def save_lists(prefix, names, lists):
    """Writes variants: a TensorList of float vectors under each name, and a vector of two of them under "pair"."""
    handles = [tf.raw_ops.TensorListFromTensor(tensor=tf.constant(one, tf.float32), element_shape=tf.constant([], tf.int32)) for one in lists]
    pair = tf.stack([handles[0], handles[-1]])
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names + ["pair"], shape_and_slices=[""] * (len(names) + 1), tensors=handles + [pair])


@call
def count_tensors(prefix):
    """How many tensors a checkpoint has, slices and all but the header."""
    return len(tf.train.load_checkpoint(prefix).get_variable_to_dtype_map())
