"""Makes the folders of testdata/ with real TensorFlow: python goldens.py [NAME …].

A folder that exists is left alone: goldens are added, never made again in place.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "python"))

import server
import keras
import numpy as np
import tensorflow as tf

TESTDATA = os.path.join(os.path.dirname(HERE), "testdata")
FOLDERS = {}


def folder(function):
    FOLDERS[function.__name__.replace("_", "-")] = function
    return function


def b64(value):
    entry = server.encode(value)
    entry.pop("sha256")
    return entry


def write_json(name, value):
    with open(name, "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=True)
        f.write("\n")


def prefixes(directory="."):
    found = []
    for parent, _, names in os.walk(directory):
        found += [os.path.relpath(os.path.join(parent, n[:-6]), directory) for n in names if n.endswith(".index")]
    return sorted(found)


def write_tensors_json(*more):
    """tensors.json: of every checkpoint below, and of more prefixes, the names, dtypes, shapes and hashes."""
    found = prefixes() + list(more)
    write_json("tensors.json", {p.replace(os.sep, "/"): server.list_tensors(p) for p in found})


def variable(value, dtype=None, name=""):
    return {"variable": dict(b64(tf.constant(value, dtype)), name=name)}


# Folders


@folder
def vectors():
    """The golden vectors of the format description: A to H, one file name each."""
    tf.train.Checkpoint().save("a")
    tf.train.Checkpoint(
        step=tf.Variable(7, dtype=tf.int64, name="step"), v=tf.Variable([1.0, 2.0], name="v")).save("b")
    os.remove("checkpoint")
    save = tf.raw_ops.SaveV2
    save(prefix="c", tensor_names=["s"], shape_and_slices=[""], tensors=[tf.constant(["", "ab"])])
    n = 6000
    save(prefix="d", tensor_names=["layer/%05d/.ATTRIBUTES/VARIABLE_VALUE" % k for k in range(n)],
         shape_and_slices=[""] * n, tensors=[tf.constant(float(k)) for k in range(n)])
    save(prefix="e", tensor_names=["v", "v"], shape_and_slices=["4 0,2", "4 2,2"],
         tensors=[tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])])
    for i, name in enumerate("ba"):
        save(prefix="part%d" % i, tensor_names=[name, "v"], shape_and_slices=["", "2 2 %d,1:0,2" % i],
             tensors=[tf.constant(i, tf.int8), tf.constant([[i, i + 0.5]])])
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=["part0", "part1"], destination_prefix="f")
    save(prefix="g", tensor_names=list("nebhs"), shape_and_slices=[""] * 5, tensors=[
        tf.cast([-8, -1, 0, 7], tf.dtypes.experimental.int4), tf.zeros([0, 3]), tf.constant([True, False]),
        tf.constant([1.5, -2.0], tf.bfloat16), tf.constant("")])
    tf.raw_ops.SaveSlices(filename="h", tensor_names=["w", "i"], shapes_and_slices=["2 0,2", ""],
                          data=[tf.constant([1.0, 2.0]), tf.constant(-1)])


PLAIN = "float32 float64 int32 uint8 int16 int8 complex64 int64 bool bfloat16 uint16 complex128 float16 uint32 uint64".split()
QUANTIZED = "qint8 quint8 qint32 qint16 quint16".split()
SMALL = "float8_e5m2 float8_e4m3fn float8_e4m3fnuz float8_e4m3b11fnuz float8_e5m2fnuz int4 uint4 int2 uint2 float4_e2m1fn".split()


def integer_like(dtype):
    """The plain integer dtype with the bytes of a quantized one."""
    return tf.as_dtype(dtype.name[1:])


def samples(dtype):
    """Some values of a dtype with its extremes, shape [2, 3], and a scalar."""
    rows = [[0, 1, 2], [3, 4, 5]]
    if dtype == tf.bool:
        return tf.constant([[False, True, True], [True, False, False]])
    if dtype.is_complex:
        return tf.constant(np.array([[0, 1 + 2j, -1.5j], [1e10, -3 - 4j, 0.5]], dtype.as_numpy_dtype))
    if dtype.name in ("int2", "uint2", "int4", "uint4"):
        low, high = {"int2": (-2, 1), "uint2": (0, 3), "int4": (-8, 7), "uint4": (0, 15)}[dtype.name]
        return tf.constant(np.array([[low, high, 0], [1, high, low]]).astype(dtype.as_numpy_dtype), dtype)
    if dtype.is_integer and not dtype.is_quantized:
        rows = [[0, 1, dtype.max], [dtype.min, 5, dtype.max - 1]]
        return tf.constant(rows, dtype)
    if dtype.is_floating:
        rows = [[0.0, -1.5, 0.5], [2.0, -0.0, 6.0]] if dtype.name != "float4_e2m1fn" else [[0.0, -1.5, 0.5], [2.0, -3.0, 6.0]]
        return tf.constant(np.array(rows, np.float32).astype(dtype.as_numpy_dtype), dtype)
    raw = integer_like(dtype)
    return tf.bitcast(tf.constant([[0, 1, raw.max], [raw.min, 5, 77]], raw), dtype)


def empty(dtype):
    """No values of a dtype, shape [0, 3]."""
    if dtype.is_quantized:
        return tf.bitcast(tf.zeros([0, 3], integer_like(dtype)), dtype)
    return tf.constant(np.zeros([0, 3], dtype.as_numpy_dtype), dtype)


@folder
def dtypes():
    """Every dtype that a bundle can hold but string and variant, in one bundle; values.json holds the bytes."""
    names, tensors, values = [], [], {}
    for name in PLAIN + QUANTIZED + SMALL:
        dtype = tf.as_dtype(name)
        matrix = samples(dtype)
        for key, value in ((name + "/matrix", matrix), (name + "/empty", empty(dtype))):
            names.append(key)
            tensors.append(value)
            if dtype.is_quantized:
                plain = tf.bitcast(value, integer_like(dtype))
                values[key] = dict(b64(plain), dtype=name)
            else:
                values[key] = b64(value)
    tf.raw_ops.SaveV2(prefix="dtypes", tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    write_json("values.json", values)


@folder
def strings():
    """String tensors of all shapes; values.json holds the elements."""
    tensors = {
        "scalar": tf.constant("hello"),
        "scalar_empty": tf.constant(""),
        "vector": tf.constant(["", "ab", "x" * 127, "y" * 128, "z" * 300]),
        "matrix": tf.constant([[b"\x00", b"\xff\xfe", "ünï".encode()], [b"a\nb", b"", b"\x00\x00"]]),
        "none": tf.constant([], tf.string, [0, 3]),
        "long": tf.constant("0123456789abcdef" * 2000),
    }
    tf.raw_ops.SaveV2(prefix="strings", tensor_names=list(tensors), shape_and_slices=[""] * len(tensors), tensors=list(tensors.values()))
    write_json("values.json", {name: b64(value) for name, value in tensors.items()})


NESTED = [
    ["z", variable([1.0, 2.0, 3.0], tf.float32, "last")],
    ["a", {"id": "module", "module": [
        ["b.c", variable(1, tf.int32, "dotted")],
        ["d/e", variable([True, False], tf.bool, "slashed")],
        [".S", variable(2.5, tf.float64)],
        ["ünï", variable([[1, 2], [3, 4]], tf.uint8, "unicode")],
        ["list", {"id": "list", "list": [
            {"id": "first", **variable([0.5, -0.5], tf.float16, "first")},
            {"list": [{"ref": "first"}, variable("text", tf.string, "words"), {"list": []}]},
            {"dict": [["b", variable(1 + 1j, tf.complex64)], ["a", {"ref": "first"}]]},
        ]}],
        ["self", {"ref": "module"}],
        ["inner", {"module": [["list", {"ref": "list"}], ["empty", {"module": []}], ["w", variable(np.zeros([0, 4]), tf.float32, "none")]]}],
    ]}],
    ["m", {"dict": [["ref", {"ref": "first"}], ["bf", variable([1.5, -2.0], tf.bfloat16, "brain")], ["i8", variable([-1, 1], tf.int8)]]}],
]


@folder
def objects():
    """Object graphs: nested containers, a rooted one, slot variables, state values, a table, an iterator, a generator."""
    write_json("nested.tree.json", NESTED)
    server.save("nested", NESTED)
    server.save("nested-written", NESTED, method="write")
    rooted = [["root", {"module": [["b", variable(1.0)], ["a", variable(2.0)]]}], ["z", variable(3.0)], ["a2", variable(4.0)]]
    write_json("rooted.tree.json", rooted)
    server.save("rooted", rooted, rooted=True)

    a, b = tf.Variable([1.0, 2.0], name="a"), tf.Variable(3.0, name="b")
    optimizers = {
        "adam": tf.compat.v1.train.AdamOptimizer(0.5), "momentum": tf.compat.v1.train.MomentumOptimizer(0.1, 0.9)}
    for optimizer in optimizers.values():
        optimizer.apply_gradients([(tf.constant([0.5, -1.0]), a), (tf.constant(2.0), b)])
    tf.train.Checkpoint(variables=[a, b], **optimizers).save("slots")

    class Words(tf.train.experimental.PythonState):
        def serialize(self):
            return '{"position": 3}'

        def deserialize(self, value):
            raise NotImplementedError

    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    table.insert(tf.constant(["one"]), tf.constant([1], tf.int64))
    generator = tf.random.Generator.from_seed(5, alg="philox")
    iterator = iter(tf.data.Dataset.range(100).shuffle(10, seed=1).batch(2))
    next(iterator)
    tf.train.Checkpoint(state=Words(), table=table, generator=generator, v=tf.Variable(1.0, name="v")).save("state")
    tf.train.Checkpoint(iterator=iterator, v=tf.Variable(1.0, name="v")).save("iterator")
    os.remove("checkpoint")
    write_tensors_json()


@folder
def names():
    """Name-based checkpoints of tf.compat.v1.train.Saver: V2, V1 and V1 with a shard number. The variable parts, [10, 3] = 0…29, is partitioned
    into three pieces."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        w = tf.compat.v1.get_variable("scope/w", initializer=tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        step = tf.compat.v1.get_variable("global_step", initializer=tf.constant(5, tf.int64))

        def count(shape, dtype=None, partition_info=None):
            first = partition_info.var_offset[0]
            return tf.constant(np.arange(30).reshape(10, 3)[first:first + shape[0]], dtype)

        parts = tf.compat.v1.get_variable("parts", shape=[10, 3], initializer=count,
                                          partitioner=tf.compat.v1.fixed_size_partitioner(3))
        session.run(tf.compat.v1.global_variables_initializer())
        Saver = tf.compat.v1.train.Saver
        versions = tf.compat.v1.train.SaverDef
        Saver().save(session, "./saver", global_step=5, write_meta_graph=False, write_state=False)
        Saver(write_version=versions.V1).save(session, "./v1", write_meta_graph=False, write_state=False)
        Saver(write_version=versions.V1, sharded=True).save(session, "./v1-sharded", write_meta_graph=False, write_state=False)
        del w, step, parts
    write_tensors_json("v1", "v1-sharded-?????-of-00001")


@folder
def shards():
    """Several data files: MaxShardSizePolicy without and with tensors cut, and a merge."""
    policy = tf.train.experimental.MaxShardSizePolicy
    weights = [tf.Variable(np.arange(10) + 10 * i, dtype=tf.float32, name="w%d" % i) for i in range(3)]
    whole = tf.train.Checkpoint(weights=weights)
    whole.write("whole", tf.train.CheckpointOptions(experimental_sharding_callback=policy(40)))
    matrix = tf.Variable(np.arange(18).reshape(2, 9), dtype=tf.float32, name="matrix")
    tf.train.Checkpoint(matrix=matrix, weights=weights).write(
        "cut", tf.train.CheckpointOptions(experimental_sharding_callback=policy(48)))
    for i in range(3):
        tf.raw_ops.SaveV2(prefix="part%d" % i, tensor_names=["t%d/x" % i, "shared", "t%d/s" % i],
                          shape_and_slices=["", "3 4 %d,1:-" % i, ""],
                          tensors=[tf.range(i + 1), tf.constant([[i, i + 0.25, i + 0.5, i + 0.75]]), tf.constant(["p%d" % i, ""])])
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=["part0", "part1", "part2"], destination_prefix="merged")
    write_tensors_json()


@folder
def manager():
    """A CheckpointManager's directory after 7 saves with max_to_keep 5; the value of n is the number of the save."""
    tree = [["n", variable(0, tf.int64, "n")], ["w", variable([0.25, 0.5], tf.float32, "w")]]
    result = server.manage("checkpoints", 7, 5, tree)
    write_json("tree.json", tree)
    assert len(result["checkpoints"]) == 5
    write_tensors_json()


RUNS = [
    ("sequential", "fresh", ["--steps", "0"]),
    ("sequential", "steps", ["--steps", "2"]),
    ("subclassed", "unbuilt", ["--steps", "0"]),
    ("subclassed", "built", ["--steps", "0", "--build-model"]),
    ("subclassed", "steps", ["--steps", "10"]),
    ("encoderdecoder", "unbuilt", ["--steps", "0"]),
    ("encoderdecoder", "built", ["--steps", "0", "--build-model"]),
    ("encoderdecoder", "steps", ["--steps", "2"]),
]


@folder
def programs():
    """The three training programs, each run a new process: fresh and after steps. continued.json holds inputs and losses of three
    further steps from the latest checkpoint, all of which assert_consumed found used: sequential with the loss −log p₀ of the first class;
    encoderdecoder alternately the sum of the encoder's and of the decoder's output. x is base64 of float32."""
    for program, state, flags in RUNS:
        directory = program + "-" + state
        command = [sys.executable, os.path.join(HERE, "programs", program + ".py"), "--seed", "1", "--fixed-inputs"]
        subprocess.run(command + ["--dir", directory, *flags], check=True, capture_output=True)
        if state != "steps":
            continue
        with tempfile.TemporaryDirectory() as temporary:
            extra = ["--loss", "neglog"] if program == "sequential" else []
            losses, inputs = os.path.join(temporary, "losses"), os.path.join(temporary, "inputs")
            subprocess.run(command + ["--dir", directory, "--steps", "3", "--build", "--assert-consumed", "--no-save",
                                      "--losses-out", losses, "--inputs-out", inputs, *extra], check=True, capture_output=True)
            with open(losses) as f, open(inputs) as g:
                write_json(os.path.join(directory, "continued.json"), {"losses": json.load(f), "inputs": json.load(g)})
    write_tensors_json()


class Dense(tf.Module):
    def __init__(self, inputs, outputs, generator):
        super().__init__()
        limit = (6 / (inputs + outputs)) ** 0.5
        self.kernel = tf.Variable(generator.uniform(-limit, limit, (inputs, outputs)), dtype=tf.float32, name="kernel")
        self.bias = tf.Variable(tf.zeros([outputs]), name="bias")

    def __call__(self, x):
        return x @ self.kernel + self.bias


class Classifier(tf.Module):
    def __init__(self, generator):
        super().__init__()
        self.hidden = Dense(4, 16, generator)
        self.output = Dense(16, 3, generator)

    def __call__(self, x):
        return self.output(tf.nn.relu(self.hidden(x)))


@folder
def predict():
    """A trained classifier, relu(x·hidden)·output, of flowers by four lengths in cm into three kinds; Checkpoint(model=…) without
    optimizer. expected.json holds measurements the training never saw, the logits and probabilities and the kind of each."""
    generator = np.random.Generator(np.random.PCG64(7))
    centres = np.array([[5.0, 3.4, 1.5, 0.25], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
    spread = np.array([0.35, 0.3, 0.35, 0.2])

    def flowers(count):
        kinds = generator.integers(0, 3, count)
        x = centres[kinds] + spread * generator.standard_normal((count, 4))
        return np.round(x, 1).astype(np.float32), kinds

    model = Classifier(generator)
    x, y = flowers(300)
    for _ in range(600):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=model(tf.constant(x))))
        for v, g in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
            v.assign_sub(0.1 * g)
    tf.train.Checkpoint(model=model).save("classifier")
    os.remove("checkpoint")
    x, y = flowers(30)
    logits = model(tf.constant(x))
    probabilities = tf.nn.softmax(logits).numpy()
    right = int((probabilities.argmax(1) == y).sum())
    assert right >= 27, right
    write_json("expected.json", {
        "kinds": ["small", "middle", "large"],
        "inputs": [[round(float(v), 1) for v in row] for row in x],
        "labels": y.tolist(),
        "logits": [[float(v) for v in row] for row in logits.numpy()],
        "probabilities": [[float(v) for v in row] for row in probabilities],
        "predicted": probabilities.argmax(1).tolist(),
    })
    write_tensors_json()


def manifest(name, function):
    lines = [
        "# tensorflow-2.21.0-" + name, "",
        " ".join(function.__doc__.split()), "",
        "Made with TensorFlow %s, Keras %s, NumPy %s, Python %d.%d, Linux, CPU:" % (
            tf.__version__, keras.__version__, np.__version__, *sys.version_info[:2]), "",
        "    python interop/goldens.py " + name, "",
        "| file | bytes | SHA-256 |", "| --- | --- | --- |",
    ]
    for parent, directories, files in os.walk("."):
        directories.sort()
        for file in sorted(files):
            path = os.path.join(parent, file)
            with open(path, "rb") as f:
                content = f.read()
            lines.append("| %s | %d | %s |" % (os.path.relpath(path).replace(os.sep, "/"), len(content), hashlib.sha256(content).hexdigest()))
    with open("MANIFEST.md", "w") as f:
        f.write("\n".join(lines) + "\n")


def main(names):
    for name in names or FOLDERS:
        target = os.path.join(TESTDATA, "tensorflow-2.21.0-" + name)
        if os.path.exists(target):
            print("exists:", target)
            continue
        with tempfile.TemporaryDirectory() as temporary:
            os.chdir(temporary)
            server.fresh()
            FOLDERS[name]()
            manifest(name, FOLDERS[name])
            os.chdir(HERE)
            shutil.copytree(temporary, target)
        print("made:", target)


if __name__ == "__main__":
    main(sys.argv[1:])
