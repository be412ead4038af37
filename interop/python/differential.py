"""Runs the random programs of differential_test.go with real TensorFlow.

A case is a folder and a list of operations, {"op": name, "id": number, …}. The
answer has, for each operation, {"verdict", "files", "values", …}: text that the
Go side makes in the same way of its own run. What an operation makes is known
by its id from then on; one that needs what is not there has the verdict "skip".
"""

import gc
import hashlib
import logging
import os
import types

import tensorflow as tf
from tensorflow.python.checkpoint import checkpoint_management

import time

NUMBERS = {"float32": tf.float32, "float64": tf.float64, "int32": tf.int32, "int64": tf.int64}


class Skip(Exception):
    """An operation needs something that was not made."""


class Taken(Exception):
    """A name leads to another object already."""


class State(tf.train.experimental.PythonState):
    def __init__(self, text):
        self.text = text

    def serialize(self):
        return self.text

    def deserialize(self, string_value):
        if not isinstance(string_value, bytes):
            raise ValueError("no text: %r" % (string_value,))
        self.text = string_value


class Optimizer(tf.__internal__.tracking.AutoTrackable):
    """Has slot variables "m" and "v", as TensorFlow's optimizers of the old kind."""

    def __init__(self, creates_for):
        """creates_for tells whether it creates what is restored for an object."""
        for name, value in (("creates_for", creates_for), ("made", {}), ("waiting", {})):
            object.__setattr__(self, "_slots_" + name, value)  # without tracking it

    def get_slot_names(self):
        return ["m", "v"]

    def get_slot(self, variable, name):
        return self._slots_made.get((name, id(variable)), (None, None))[0]

    def make(self, variable, name, fill):
        slot = tf.Variable(content(variable.dtype.name, variable.shape.as_list(), fill), name="slot")
        self._slots_made[name, id(variable)] = slot, variable
        waiting = self._slots_waiting.pop((name, id(variable)), [])
        for position in sorted(waiting, key=lambda p: p.restore_uid, reverse=True):
            position.restore(slot)
        return slot

    def _create_or_restore_slot_variable(self, slot_variable_position, slot_name, variable):
        slot = self.get_slot(variable, slot_name)
        if slot is None and self._slots_creates_for(variable) and slot_variable_position.is_simple_variable():
            slot = self.make(variable, slot_name, 0)
        if slot is not None:
            return slot
        self._slots_waiting.setdefault((slot_name, id(variable)), []).append(slot_variable_position)


def text_of(fill):
    """The text of a state."""
    return b"state %d" % fill + b"\xff\x00" * (fill % 3)


def content(dtype, shape, fill):
    """The elements that a fill stands for."""
    n = 1
    for length in shape:
        n *= length
    if dtype == "string":
        elements = [b"%d.%d" % (fill, i) * ((fill + i) % 4) for i in range(n)]
        return tf.reshape(tf.constant(elements, tf.string, [n]), shape)
    if dtype == "bool":
        return tf.reshape(tf.constant([(fill + i) % 2 == 1 for i in range(n)], tf.bool, [n]), shape)
    half = 0.5 if dtype.startswith("float") else 0
    return tf.reshape(tf.constant([fill * 3 - i + half for i in range(n)], NUMBERS[dtype], [n]), shape)


def shown(value):
    """A value as text."""
    array = value.numpy()
    if value.dtype == tf.string:
        elements = array.reshape(-1) if hasattr(array, "reshape") else [array]
        return " ".join('"%s"' % e.hex() for e in elements)
    return array.tobytes().hex()


class Case:
    """What the operations of one case have made."""

    def __init__(self, folder):
        self.folder = folder
        self.objects = {}  # by id: what can be tracked
        self.counted = {}  # Checkpoints
        self.rooted = set()
        self.roots = []
        self.interval = set()  # managers that have one
        self.statuses = {}
        self.managers = {}
        self.saved = {}  # paths
        self.clock = 0.0

    def get(self, kind, number):
        if number not in kind:
            raise Skip()
        return kind[number]

    def path(self, name):
        return os.path.join(self.folder, *name.split("/"))

    def short(self, path):
        return "none" if path is None else os.path.relpath(path, self.folder).replace(os.sep, "/")

    def values(self):
        lines = []
        for number, made in sorted(self.objects.items()):
            if isinstance(made, tf.Variable):
                lines.append("%d: %s" % (number, shown(made.value())))
            elif isinstance(made, State):
                lines.append("%d: %s" % (number, made.text.hex()))
            elif isinstance(made, Optimizer):
                known = {id(o): n for n, o in self.objects.items()}
                slots = ["%s of %d %s" % (name, known[of], shown(slot.value())) for (name, of), (slot, _) in made._slots_made.items()]
                lines.append("%d: %s" % (number, ", ".join(sorted(slots))))
            elif number in self.counted:
                counter = made._save_counter
                lines.append("%d: %d" % (number, 0 if counter is None else int(counter)))
        return "\n".join(lines)

    def files(self):
        lines = []
        for directory, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as f:
                    raw = f.read()
                shown = "\n" + raw.decode() if name == "checkpoint" else hashlib.sha256(raw).hexdigest()[:16]
                lines.append("%s %s" % (self.short(path), shown))
        return "\n".join(sorted(lines))

    # What makes objects.

    def variable(self, op):
        value = content(op["dtype"], op.get("shape") or [], op.get("fill", 0))
        self.objects[op["id"]] = tf.Variable(value, name=op.get("name") or None)

    def node(self, op):
        makers = {"module": tf.Module, "auto": tf.__internal__.tracking.AutoTrackable}
        self.objects[op["id"]] = makers[op["class"]]()

    def optimizer(self, op):

        def creates_for(variable):  # a save counter is none of the case's variables
            return op["class"] == "creator" and isinstance(variable, tf.Variable) and any(variable is o for o in self.objects.values())

        self.objects[op["id"]] = Optimizer(creates_for)

    def slot(self, op):
        """Makes a slot variable of an optimizer, or gives it another value."""
        made, variable = self.get(self.objects, op["parent"]), self.get(self.objects, op["object"])
        if not isinstance(made, Optimizer) or not isinstance(variable, tf.Variable):
            raise Skip()
        slot, fill = made.get_slot(variable, op["name"]), op.get("fill", 0)
        if slot is None:
            made.make(variable, op["name"], fill)
        else:
            slot.assign(content(slot.dtype.name, slot.shape.as_list(), fill))

    def list(self, op):
        holder = tf.__internal__.tracking.AutoTrackable()
        holder.held = []
        self.objects[op["id"]] = holder.held

    def dict(self, op):
        holder = tf.__internal__.tracking.AutoTrackable()
        holder.held = {}
        self.objects[op["id"]] = holder.held

    def state(self, op):
        self.objects[op["id"]] = State(text_of(op.get("fill", 0)))

    def checkpoint(self, op):
        objects = {name: self.child(child) for name, child in op.get("objects") or []}
        if op.get("root"):
            root = self.get(self.objects, op["root"])
            root._maybe_initialize_trackable()
            if op["root"] in self.counted and root._save_counter is None:
                raise Skip()  # it would go on without the counter that the root gets
            made = tf.train.Checkpoint(root, **objects)
            self.rooted.add(op["id"])
            self.roots.append(root)
        else:
            made = tf.train.Checkpoint(**objects)
        self.objects[op["id"]] = self.counted[op["id"]] = made

    # What changes them.

    def child(self, number):
        return self.get(self.objects, number)

    def parent(self, op):
        if op["parent"] in self.rooted:
            raise Skip()
        return self.get(self.objects, op["parent"])

    def track(self, op):
        """Hangs a child below an object; with replace another one may be there."""
        parent, child, name = self.parent(op), self.child(op["child"]), op["name"]
        if name == "save_counter" and any(root is parent for root in self.roots):
            raise Skip()
        parent._maybe_initialize_trackable()
        current = parent._lookup_dependency(name)
        if not op.get("replace") and current is not None and current is not child:
            raise Taken()
        if isinstance(parent, dict):
            parent[name] = child
        elif isinstance(parent, list):
            raise Skip()
        elif op.get("replace"):
            setattr(parent, name, child)
        else:
            parent._track_trackable(child, name)

    def append(self, op):
        self.parent(op).append(self.child(op["child"]))

    def skip(self, op):
        self.parent(op).append(7)

    def assign(self, op):
        made = self.get(self.objects, op["object"])
        if isinstance(made, State):
            made.text = text_of(op.get("fill", 0))
        else:
            made.assign(content(made.dtype.name, made.shape.as_list(), op.get("fill", 0)))

    # Checkpoints.

    def save(self, op):
        path = self.get(self.counted, op["checkpoint"]).save(self.path(op["prefix"]))
        self.saved[op["id"]] = path
        return {"path": self.short(path)}

    def write(self, op):
        path = self.get(self.counted, op["checkpoint"]).write(self.path(op["prefix"]))
        self.saved[op["id"]] = path
        return {"path": self.short(path)}

    def restore(self, op):
        made, path = self.get(self.counted, op["checkpoint"]), self.get(self.saved, op["from"])
        options = tf.train.CheckpointOptions(experimental_skip_slot_variables=True) if op.get("skip_slots") else None
        self.statuses[op["id"]] = getattr(made, op["op"])(path, options)

    read = restore

    def check(self, op):
        status = self.get(self.statuses, op["status"])
        verdicts = []
        for name, check in (
            ("consumed", status.assert_consumed),
            ("existing", status.assert_existing_objects_matched),
            ("nontrivial", status.assert_nontrivial_match),
        ):
            try:
                check()
                verdicts.append(name + " passes")
            except AssertionError:
                verdicts.append(name + " fails")
        return {"checks": "\n".join(verdicts)}

    # Managers.

    def manager(self, op):
        made, init = self.get(self.counted, op["checkpoint"]), None
        if op.get("child"):
            self.get(self.objects, op["child"])

            def init():
                self.assign({"object": op["child"], "fill": op.get("fill", 0)})

        interval = {}
        if op.get("interval"):
            interval = {"checkpoint_interval": op["interval"], "step_counter": self.get(self.objects, op["object"])}
        self.managers[op["id"]] = manager = tf.train.CheckpointManager(
            made,
            self.path(op["folder"]),
            max_to_keep=op.get("keep") or None,
            keep_checkpoint_every_n_hours=op.get("hours") or None,
            checkpoint_name=op["name"],
            init_fn=init,
            **interval,
        )
        if interval:
            self.interval.add(op["id"])
        return self.told(manager)

    def told(self, manager):
        return {
            "latest": self.short(manager.latest_checkpoint),
            "checkpoints": "\n".join(self.short(p) for p in manager.checkpoints),
        }

    def managersave(self, op):
        manager = self.get(self.managers, op["manager"])
        if (op["manager"] in self.interval) != (op["op"] == "due"):
            raise Skip()
        path = manager.save(checkpoint_number=op.get("number"))
        if path is None:
            return {"path": "none"}
        self.saved[op["id"]] = path
        return {"path": self.short(path), **self.told(manager)}

    due = managersave

    def initialize(self, op):
        manager = self.get(self.managers, op["manager"])
        return {"path": self.short(manager.restore_or_initialize()), **self.told(manager)}

    def latest(self, op):
        folder = self.path(op["folder"])
        state = tf.train.get_checkpoint_state(folder)
        listed = [] if state is None else [state.model_checkpoint_path, *state.all_model_checkpoint_paths]
        return {"latest": self.short(tf.train.latest_checkpoint(folder)), "state": "\n".join(self.short(p) for p in listed)}

    def wait(self, op):
        self.clock += op["seconds"]

    def delete(self, op):
        path = self.get(self.saved, op["from"])
        name = path + op["suffix"]
        if not os.path.exists(name):
            raise Skip()
        os.remove(name)

    def forget(self, op):
        name = os.path.join(self.path(op["folder"]), "checkpoint")
        if not os.path.exists(name):
            raise Skip()
        os.remove(name)

    def run(self, op):
        answer = {"verdict": "ok"}
        try:
            answer.update(getattr(self, op["op"])(op) or {})
        except Skip:
            answer["verdict"] = "skip"
        except Taken:
            answer["verdict"] = "taken"
        except tf.errors.NotFoundError as e:
            answer.update(verdict="missing", words=str(e))
        except Exception as e:  # Whether it is one on the other side, too, is for Go to judge.
            answer.update(verdict="error", words="%s: %s" % (type(e).__name__, e))
        answer["values"] = self.values()
        if op["op"] in ("save", "write", "managersave", "due", "initialize", "manager", "delete", "forget"):
            answer["files"] = self.files()
        return answer


def differential(cases):
    """Runs cases, [{"folder", "operations"}]; gives a list of answers for each."""
    tf.get_logger().setLevel(logging.CRITICAL)
    answers = []
    for given in cases:
        case = Case(given["folder"])
        os.makedirs(given["folder"], exist_ok=True)
        case.clock = 1000.0
        checkpoint_management.time = types.SimpleNamespace(time=lambda: case.clock)
        try:
            answers.append([case.run(op) for op in given["operations"]])
        finally:
            checkpoint_management.time = time
    gc.collect()
    return answers


CALLS = {"differential": differential}
