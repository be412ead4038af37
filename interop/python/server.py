"""Answers calls of the Go tests with real TensorFlow.

One request a line on standard input, {"call": name, "args": {...}}; one answer a
line on standard output, {"result": ...} or {"error": text}. The server ends
when its input is closed. Words of TensorFlow go to standard error.
"""

import base64
import contextlib
import hashlib
import importlib
import io
import json
import os
import sys
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.checkpoint import checkpoint_management
from tensorflow.python.checkpoint.sharding import sharding_policies
from tensorflow.python.training.checkpoint_state_pb2 import CheckpointState

import differential
import rawops

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs")
GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
NARROW = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4}

CALLS = {**rawops.CALLS, **differential.CALLS}


def call(function):
    CALLS[function.__name__] = function
    return function


# Values


def decode(spec):
    """The value of {"dtype", "shape", "data" | "strings"}: base64, little-endian, row-major."""
    dtype = tf.as_dtype(spec["dtype"])
    shape = spec["shape"]
    if dtype == tf.string:
        elements = [base64.b64decode(s) for s in spec.get("strings", [])]
        return tf.reshape(tf.constant(elements, tf.string, [len(elements)]), shape)
    raw = np.frombuffer(base64.b64decode(spec.get("data", "")), dtype.as_numpy_dtype)
    return tf.constant(raw.reshape(shape), dtype)


def stored(value):
    """The bytes that a bundle stores for a value, for strings the form that is hashed."""
    array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
    dtype = tf.as_dtype(value.dtype)
    if dtype == tf.string:
        elements = [e if isinstance(e, bytes) else e.encode() for e in np.asarray(array, object).reshape(-1)]
        return b"".join(len(e).to_bytes(8, "little") + e for e in elements), elements
    raw = np.ascontiguousarray(array).tobytes()
    if dtype.name in NARROW:
        mask = (1 << NARROW[dtype.name]) - 1
        raw = bytes(b & mask for b in raw)
    return raw, None


def encode(value):
    """The opposite of decode, with the SHA-256 of the stored bytes."""
    raw, elements = stored(value)
    result = {
        "dtype": tf.as_dtype(value.dtype).name,
        "shape": [int(n) for n in value.shape],
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    if elements is None:
        result["data"] = base64.b64encode(raw).decode()
    else:
        result["strings"] = [base64.b64encode(e).decode() for e in elements]
    return result


# Trees of objects
#
# {"variable": {"dtype", "shape", "data" | "strings", "name"}}
# {"module": [[name, node], …]}, {"list": [node, …]}, {"dict": [[name, node], …]}
# {"id": "x", …} names a node, {"ref": "x"} is the same object again.


class Tree:
    def __init__(self, nodes, blank=False):
        self.blank = blank
        self.named = {}
        self.variables = {}  # path → variable, first path wins
        self.objects = {name: self.build(node, name) for name, node in nodes}

    def build(self, node, path):
        if "ref" in node:
            return self.named[node["ref"]]
        if "variable" in node:
            made = self.variable(node["variable"])
            self.variables[path] = made
        elif "module" in node:
            made = tf.Module()
            if "id" in node:
                self.named[node["id"]] = made
            for name, child in node["module"]:
                made._track_trackable(self.build(child, path + "/" + name), name)
        elif "list" in node:
            made = [self.build(child, "%s/%d" % (path, i)) for i, child in enumerate(node["list"])]
        elif "dict" in node:
            made = {name: self.build(child, path + "/" + name) for name, child in node["dict"]}
        else:
            raise ValueError("node of no known kind: %r" % (node,))
        if isinstance(made, (list, dict)):
            # A wrapper exists once it hangs somewhere; references need the same one.
            holder = tf.Module()
            holder.held = made
            made = holder.held
        if "id" in node:
            self.named[node["id"]] = made
        return made

    def variable(self, spec):
        value = decode(spec)
        if self.blank:
            value = tf.fill(value.shape, "") if value.dtype == tf.string else tf.constant(np.zeros(value.shape, value.dtype.as_numpy_dtype), value.dtype)
        return tf.Variable(value, name=spec.get("name") or None)

    def values(self):
        return {path: encode(variable.value()) for path, variable in self.variables.items()}


def files(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


@call
def save(prefix, tree, method="save", rooted=False):
    """Writes objects, [[name, node], …]; with rooted the first one is the root."""
    objects = Tree(tree).objects
    root = objects.pop(tree[0][0]) if rooted else None
    checkpoint = tf.train.Checkpoint(root, **objects)
    return getattr(checkpoint, method)(prefix)


@call
def restore(prefix, tree, method="restore", rooted=False):
    """Restores into zeros; says whether all of the file found its place and gives the values."""
    built = Tree(tree, blank=True)
    objects = dict(built.objects)
    root = objects.pop(tree[0][0]) if rooted else None
    checkpoint = tf.train.Checkpoint(root, **objects)
    status = getattr(checkpoint, method)(prefix)
    result = {"consumed": "", "existing": "", "values": {}}
    for name, check in (("consumed", status.assert_consumed), ("existing", status.assert_existing_objects_matched)):
        try:
            check()
        except AssertionError as e:
            result[name] = str(e) or "assertion failed"
    status.expect_partial()
    result["values"] = built.values()
    if method == "restore":
        result["save_counter"] = int(checkpoint.save_counter)
    return result


@call
def manage(directory, saves, max_to_keep, tree, resume=False, name="ckpt"):
    """Saves several times with a manager; "n" of the tree, an int64, counts the saves."""
    built = Tree(tree)
    checkpoint = tf.train.Checkpoint(**built.objects)
    manager = tf.train.CheckpointManager(checkpoint, directory, max_to_keep=max_to_keep, checkpoint_name=name)
    found = list(manager.checkpoints)
    restored = None
    if resume:
        restored = manager.latest_checkpoint
        checkpoint.restore(restored).assert_consumed()
    paths = []
    for _ in range(saves):
        built.variables["n"].assign_add(1)
        paths.append(manager.save())
    return {
        "found": found,
        "restored": restored,
        "saved": paths,
        "checkpoints": list(manager.checkpoints),
        "latest": manager.latest_checkpoint,
        "files": files(directory),
        "values": built.values(),
    }


@call
def list_tensors(prefix):
    """Names, dtypes, shapes and SHA-256 of every tensor; variants have no hash."""
    reader = tf.train.load_checkpoint(prefix)
    dtypes = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    result = []
    for name in sorted(dtypes, key=lambda n: n.encode()):
        entry = {"name": name, "dtype": dtypes[name].name, "shape": list(shapes[name])}
        if dtypes[name] != tf.variant:
            value = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[dtypes[name]])[0]
            entry["sha256"] = hashlib.sha256(stored(value)[0]).hexdigest()
        result.append(entry)
    return result


@call
def write_tensors(prefix, names, tensors):
    """Writes plain tensors with SaveV2."""
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=[decode(t) for t in tensors])
    return files(os.path.dirname(prefix))


@call
def write_slices(prefix, names, specs, tensors):
    """Writes tensors and slices, "full_shape slice", with SaveV2."""
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=specs, tensors=[decode(t) for t in tensors])


@call
def read_slices(prefix, names, specs, dtypes):
    """Reads tensors and slices with RestoreV2."""
    values = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=names, shape_and_slices=specs, dtypes=[tf.as_dtype(d) for d in dtypes])
    return [encode(v) for v in values]


@call
def merge(prefixes, destination, delete_old_dirs):
    """Merges checkpoints; gives what is left in the folders of the inputs, None for a folder that is gone."""
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=destination, delete_old_dirs=delete_old_dirs)
    folders = [os.path.dirname(p) for p in prefixes]
    return [files(folder) if os.path.isdir(folder) else None for folder in folders]


@call
def write_sharded(prefix, tensors, max_shard_size):
    """Writes a checkpoint of variables, {name: tensor}, in shards of at most so many bytes."""
    variables = {name: tf.Variable(decode(spec)) for name, spec in tensors.items()}
    policy = sharding_policies.MaxShardSizePolicy(max_shard_size)
    tf.train.Checkpoint(**variables).write(prefix, options=tf.train.CheckpointOptions(experimental_sharding_callback=policy))


@call
def latest(directory):
    return tf.train.latest_checkpoint(directory)


# State files: doubles travel as hexadecimal floats


@call
def state_text(states):
    texts = []
    for s in states:
        message = CheckpointState(
            model_checkpoint_path=s["latest"],
            all_model_checkpoint_paths=s["all"],
            all_model_checkpoint_timestamps=[float.fromhex(x) for x in s["timestamps"]],
            last_preserved_timestamp=float.fromhex(s["last_preserved"]),
        )
        texts.append(text_format.MessageToString(message))
    return texts


@call
def parse_states(texts):
    """Text, base64, to states; None where it does not parse."""
    states = []
    for text in texts:
        message = CheckpointState()
        try:
            text_format.Merge(base64.b64decode(text).decode("utf-8"), message)
        except (text_format.ParseError, UnicodeDecodeError):
            states.append(None)
            continue
        states.append({
            "latest": message.model_checkpoint_path,
            "all": list(message.all_model_checkpoint_paths),
            "timestamps": [x.hex() for x in message.all_model_checkpoint_timestamps],
            "last_preserved": message.last_preserved_timestamp.hex(),
        })
    return states


@call
def generate_state(directory, latest, all):
    """What update_checkpoint_state writes for relative paths."""
    os.makedirs(directory or ".", exist_ok=True)
    checkpoint_management.update_checkpoint_state_internal(
        directory, latest, all_model_checkpoint_paths=list(all), save_relative_paths=True)
    with open(os.path.join(directory, "checkpoint")) as f:
        return f.read()


@call
def chdir(directory):
    os.chdir(directory)


# Programs


@call
def program(name, argv, directory=None):
    """Runs one of the training programs in this process and gives what it printed."""
    if PROGRAMS not in sys.path:
        sys.path.insert(0, PROGRAMS)
    module = importlib.import_module(name)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        module.main(argv)
    return printed.getvalue()


def fresh():
    """Makes the next call start as in a new process: names are counted from zero."""
    tf.random.set_seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


def answer(request):
    try:
        fresh()
        return {"result": CALLS[request["call"]](**request.get("args", {}))}
    except Exception as e:  # Every failure of a call is the caller's to judge.
        return {"error": "%s: %s" % (type(e).__name__, e), "trace": traceback.format_exc()}


def main():
    # Only answers may reach the real standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
