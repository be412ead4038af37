"""Prints the public names of TensorFlow that have to do with checkpoints, one a line: docs/tensorflow-symbols.txt.

    python symbols.py > ../docs/tensorflow-symbols.txt

An argument stands in parentheses behind what takes it.
"""

import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from tensorflow.python.checkpoint import checkpoint as checkpoint_module
from tensorflow.python.training import py_checkpoint_reader

# Names of tf.train that have nothing to do with checkpoints.
OTHERS = """BytesList ClusterDef ClusterSpec Coordinator Example ExponentialMovingAverage Feature FeatureList FeatureLists Features FloatList
Int64List JobDef SequenceExample ServerDef experimental""".split()

V1 = """Checkpoint CheckpointManager CheckpointOptions CheckpointSaverHook CheckpointSaverListener MonitoredTrainingSession
NewCheckpointReader Saver SaverDef Scaffold SessionManager Supervisor VocabInfo checkpoint_exists checkpoints_iterator export_meta_graph
generate_checkpoint_state_proto get_checkpoint_mtimes get_checkpoint_state import_meta_graph init_from_checkpoint latest_checkpoint
list_variables load_checkpoint load_variable remove_checkpoint update_checkpoint_state warm_start experimental""".split()

OPS = """DeserializeIterator LookupTableExportV2 LookupTableImportV2 MergeV2Checkpoints Restore RestoreSlice RestoreV2 Save SaveSlices
SaveV2 SerializeIterator ShardedFilename ShardedFilespec""".split()

TRACKING = """AutoTrackable CheckpointInitialValue CheckpointInitialValueCallable DelegatingTrackableMixin ObjectGraphView Trackable
TrackableDataStructure TrackableReference no_automatic_dependency_tracking register_session_provider saveable_objects_from_trackable
sticky_attribute_assignment streaming_restore wrap""".split()

# Arguments of these are listed too.
WITH_ARGUMENTS = ("tf.train.",)


def arguments(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.name not in ("self", "cls") and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def with_arguments(name, function):
    yield name
    if name.startswith(WITH_ARGUMENTS):
        for argument in arguments(function):
            yield "%s(%s)" % (name, argument)


def members(name, cls):
    for member in dir(cls):
        if not member[0].islower():
            continue
        value = inspect.getattr_static(cls, member)
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        if inspect.isfunction(value):
            yield from with_arguments("%s.%s" % (name, member), value)
        else:
            yield "%s.%s" % (name, member)


def symbol(name, value):
    if inspect.isclass(value):
        yield from with_arguments(name, value)
        yield from members(name, value)
    else:
        yield from with_arguments(name, value)


def plain(module, prefix, names):
    for name in names:
        getattr(module, name)  # it exists
        yield prefix + name


def everything():
    for name in dir(tf.train):
        if not name.startswith("_") and name not in OTHERS:
            yield from symbol("tf.train." + name, getattr(tf.train, name))
    for name in dir(tf.train.experimental):
        if not name.startswith("_"):
            yield from symbol("tf.train.experimental." + name, getattr(tf.train.experimental, name))
    yield from members("CheckpointReader", type(py_checkpoint_reader.NewCheckpointReader(example())))
    for name in ("CheckpointLoadStatus", "InitializationOnlyStatus", "NameBasedSaverStatus"):
        yield name
        yield from members(name, getattr(checkpoint_module, name))
    for name in ("PreemptionCheckpointHandler", "PreemptionWatcher", "TerminationConfig"):
        yield from symbol("tf.distribute.experimental." + name, getattr(tf.distribute.experimental, name))
    yield from plain(tf.compat.v1.train, "tf.compat.v1.train.", V1)
    yield from members("tf.compat.v1.train.Saver", tf.compat.v1.train.Saver)
    yield from plain(tf.raw_ops, "tf.raw_ops.", OPS)
    yield "tf.data.experimental.make_saveable_from_iterator"
    for name in ("DTensorCheckpoint", "name_based_restore", "name_based_save"):
        getattr(tf.experimental.dtensor, name)
        yield "tf.experimental.dtensor." + name
    yield from plain(tf.__internal__.tracking, "tf.__internal__.tracking.", TRACKING)
    yield from plain(tf.__internal__.train, "tf.__internal__.train.", ["update_checkpoint_state"])
    yield from plain(tf.__internal__.distribute, "tf.__internal__.distribute.", ["ShardedVariable"])
    yield from plain(tf.saved_model, "tf.saved_model.", ["Asset", "LoadOptions", "SaveOptions", "load", "save"])
    yield from plain(tf.saved_model.experimental, "tf.saved_model.experimental.", ["TrackableResource"])
    yield "register_checkpoint_saver"
    yield from plain(tf, "tf.", ["Module", "Variable"])
    yield from plain(tf.random, "tf.random.", ["Generator"])
    yield from plain(tf.lookup.experimental, "tf.lookup.experimental.", ["DenseHashTable", "MutableHashTable"])
    yield from plain(tf.lookup, "tf.lookup.", ["StaticHashTable"])


def example():
    """A checkpoint for a reader to open."""
    import tempfile

    return tf.train.Checkpoint(v=tf.Variable(1.0)).write(os.path.join(tempfile.mkdtemp(), "x"))


print("\n".join(sorted(set(everything()))))
