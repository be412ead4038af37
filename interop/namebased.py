"""Writes name-based checkpoints with TensorFlow 1's Saver, reads them into objects with tf.train.Checkpoint, and prints what became of it as JSON.

The argument is a JSON file with files, {prefix: {version, sharded, values}}, and
cases, [{file, before, late, method}]; objects are [[edge name, full name, dtype, shape]].
"""
import base64
import json
import sys

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def write(prefix, version, sharded, values):
    """Writes variables {full name: [dtype, shape, numbers]} and gives the prefix for reading."""
    with tf.Graph().as_default(), v1.Session() as session:
        starts = []
        for name, (dtype, shape, numbers) in values.items():
            array = np.array(numbers, dtype).reshape(shape)
            if name.startswith("parts"):
                parts = list(v1.get_variable(name, shape, partitioner=v1.fixed_size_partitioner(2)))
                starts += zip(parts, np.array_split(array, 2))
            else:
                starts.append((v1.get_variable(name, shape, dtype, v1.zeros_initializer()), array))
        session.run(v1.global_variables_initializer())
        for variable, array in starts:
            variable.load(array, session)
        saver = v1.train.Saver(write_version=version, sharded=sharded)
        return saver.save(session, prefix, write_meta_graph=False, write_state=False)


def new(full_name, dtype, shape):
    return tf.Variable(np.zeros(shape, dtype), name=full_name)


def text(values):
    return {edge: base64.b64encode(v.numpy().tobytes()).decode() for edge, v in values.items()}


def read(prefix, before, late, method):
    variables = {edge: new(*spec) for edge, *spec in before}
    checkpoint = tf.train.Checkpoint(**variables)
    result = {"error": "", "checks": []}
    try:
        status = getattr(checkpoint, method)(prefix)
        for edge, *spec in late:
            variables[edge] = new(*spec)
            setattr(checkpoint, edge, variables[edge])
    except Exception as e:
        result["error"] = type(e).__name__
    else:
        for check in (status.assert_consumed, status.assert_existing_objects_matched, status.assert_nontrivial_match):
            try:
                check()
                result["checks"].append("")
            except AssertionError as e:
                result["checks"].append(str(e) or "failed")
    result["values"] = text(variables)
    return result


def main():
    with open(sys.argv[1]) as f:
        plan = json.load(f)
    prefixes = {prefix: write(prefix, **spec) for prefix, spec in plan["files"].items()}
    results = [read(prefixes[c["file"]], c["before"], c["late"], c["method"]) for c in plan["cases"]]
    json.dump({"prefixes": prefixes, "results": results}, sys.stdout)


main()
