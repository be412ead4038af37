"""Makes the folders of testdata/ that older versions of TensorFlow write.

    python -m venv old
    old/bin/pip install tensorflow-cpu==2.15.1               # Python 3.9 to 3.11; brings Keras 2.15.0
    old/bin/pip install tensorflow-cpu==2.18.1 keras==3.6.0  # Python 3.9 to 3.12
    old/bin/python interop/versions.py [--out FOLDER]
    old/bin/python interop/versions.py --list PREFIX …       # what it reads in other checkpoints, as JSON

Each version makes what it can: Keras 2 its weights in TensorFlow's format and
both kinds of optimizer, Keras 3 its own layout. A folder that exists is left
alone.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
TESTDATA = os.path.join(os.path.dirname(HERE), "testdata")
FOLDERS = {}


def folder(function):
    FOLDERS[function.__name__.replace("_", "-")] = function
    return function


def model():
    """Three inputs, two hidden units, one output, after some layers with state of their own."""
    made = keras.Sequential([
        keras.Input((3,)),
        keras.layers.Dense(2, activation="relu", name="hidden"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(1, name="out"),
    ])
    return made


def train(made, optimizer, steps=2):
    """Some steps, so that nothing is at its initial value."""
    x = tf.constant([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5], [-2.0, 1.5, 0.75], [0.0, 1.0, 1.0]])
    y = tf.constant([[1.0], [0.0], [2.0], [-1.0]])
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(made(x, training=True) - y))
        weights = made.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))


@folder
def keras2():
    """What Keras 2 writes: weights alone, objects with the legacy and the newer optimizer, a SavedModel."""
    made = model()
    legacy = keras.optimizers.legacy.Adam(0.01, amsgrad=True)
    train(made, legacy)
    tf.train.Checkpoint(model=made, optimizer=legacy, step=tf.Variable(2, dtype=tf.int64)).save("legacy/ckpt")
    made = model()
    made.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    train(made, made.optimizer)
    tf.train.Checkpoint(model=made, optimizer=made.optimizer).save("newer/ckpt")
    made.save_weights("weights/model", save_format="tf")
    made.save("saved", save_format="tf")
    made.save_weights("model.h5")
    made.save("model.keras")


@folder
def keras3():
    """What Keras 3 writes: objects with its optimizer, weights in HDF5, an archive, an exported SavedModel."""
    made = model()
    optimizer = keras.optimizers.Adam(0.01)
    train(made, optimizer)
    checkpoint = tf.train.Checkpoint(model=made, optimizer=optimizer, step=tf.Variable(2, dtype=tf.int64))
    manager = tf.train.CheckpointManager(checkpoint, "managed", max_to_keep=2)
    for _ in range(3):
        manager.save()
    made.save_weights("model.weights.h5")
    made.save("model.keras")
    made.export("saved")


@folder
def plain():
    """What TensorFlow writes without Keras: objects with slots, a name-based Saver, V1 and V2, pieces of a tensor."""
    root = tf.Module()
    root.v = tf.Variable([1.5, -2.0], name="v")
    root.layers = [tf.Variable(np.arange(6, dtype=np.float16).reshape(2, 3), name="half"), tf.Variable([True, False])]
    root.names = tf.Variable(["", "ab", "\N{SNOWMAN}"])
    root.empty = tf.Variable(tf.zeros([0, 4], tf.bfloat16))
    root.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    root.table.insert(["a", "b"], [1, 2])
    tf.train.Checkpoint(root=root).save("objects")
    os.remove("checkpoint")
    with tf.Graph().as_default():
        a = tf.compat.v1.get_variable("a", initializer=1.0)
        tf.compat.v1.get_variable("scope/b", initializer=np.array([2, 3], np.int32))
        tf.compat.v1.get_variable("parts", shape=[6, 2], partitioner=tf.compat.v1.fixed_size_partitioner(3),
                                  initializer=tf.compat.v1.constant_initializer(np.arange(4, dtype=np.float32)))
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            session.run(a.assign(4.0))
            saver = tf.compat.v1.train.Saver()
            saver.save(session, "saver", global_step=5, write_meta_graph=False, write_state=False)
            old = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
            old.save(session, "old", write_meta_graph=False, write_state=False)


def stored(value):
    """The bytes of a tensor that are hashed: of strings each length as 8 bytes and the string."""
    if value.dtype == tf.string:
        return b"".join(len(e).to_bytes(8, "little") + e for e in np.asarray(value.numpy(), object).reshape(-1))
    return np.ascontiguousarray(value.numpy()).tobytes()


def tensors(prefix):
    """What this TensorFlow finds in a checkpoint."""
    reader = tf.train.load_checkpoint(prefix)
    dtypes = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    found = []
    for name in sorted(dtypes, key=lambda n: n.encode()):
        value = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[dtypes[name]])[0]
        found.append({"name": name, "dtype": dtypes[name].name, "shape": list(shapes[name]),
                      "sha256": hashlib.sha256(stored(value)).hexdigest()})
    return found


def write_tensors_json():
    """tensors.json: what is in every checkpoint below, by prefix."""
    found = ["old"] if os.path.exists("old") else []
    for parent, _, names in os.walk("."):
        found += [os.path.relpath(os.path.join(parent, n[:-6])) for n in names if n.endswith(".index")]
    with open("tensors.json", "w") as f:
        json.dump({p.replace(os.sep, "/"): tensors(p) for p in sorted(found)}, f, indent=1)
        f.write("\n")


def trim():
    """Leaves out what no test needs: graphs of functions, which are large."""
    for parent, directories, files in os.walk("."):
        for name in files:
            if name in ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb"):
                path = os.path.join(parent, name)
                if name == "saved_model.pb":
                    with open(path, "wb") as f:
                        f.write(b"")
                else:
                    os.remove(path)
        if "assets" in directories and not os.listdir(os.path.join(parent, "assets")):
            os.rmdir(os.path.join(parent, "assets"))
            directories.remove("assets")


def manifest(name, function):
    """MANIFEST.md: how the folder was made, and what is in it."""
    lines = [
        "# tensorflow-%s-%s" % (tf.__version__, name), "",
        " ".join(function.__doc__.split()), "",
        "tensors.json is what that TensorFlow reads: names, dtypes, shapes and SHA-256 of the values. The graph of",
        "a SavedModel is cut to an empty file, its other parts beside `variables/` are left out.", "",
        "Made with TensorFlow %s, Keras %s, NumPy %s, Python %d.%d, Linux, CPU:" % (
            tf.__version__, keras.__version__, np.__version__, *sys.version_info[:2]), "",
        "    python interop/versions.py", "",
        "| file | bytes | SHA-256 |", "| --- | --- | --- |",
    ]
    for parent, directories, files in os.walk("."):
        directories.sort()
        for file in sorted(files):
            path = os.path.join(parent, file)
            with open(path, "rb") as f:
                content = f.read()
            lines.append("| %s | %d | %s |" % (
                os.path.relpath(path).replace(os.sep, "/"), len(content), hashlib.sha256(content).hexdigest()))
    with open("MANIFEST.md", "w") as f:
        f.write("\n".join(lines) + "\n")


def main(arguments):
    if arguments[:1] == ["--list"]:
        json.dump({prefix: tensors(prefix) for prefix in arguments[1:]}, sys.stdout)
        return
    out = arguments[1] if arguments[:1] == ["--out"] else TESTDATA
    out = os.path.abspath(out)
    tf.keras.utils.set_random_seed(7)
    for name, function in FOLDERS.items():
        if name.startswith("keras") and name != "keras" + keras.__version__[0]:
            continue
        target = os.path.join(out, "tensorflow-%s-%s" % (tf.__version__, name))
        if os.path.exists(target):
            print("exists:", target)
            continue
        with tempfile.TemporaryDirectory() as temporary:
            os.chdir(temporary)
            function()
            trim()
            write_tensors_json()
            manifest(name, function)
            os.chdir(HERE)
            shutil.copytree(temporary, target)
        print("made:", target)


if __name__ == "__main__":
    main(sys.argv[1:])
