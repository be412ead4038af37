"""Makes golden conversions of the small dtypes with real ml_dtypes: python interop/smallfloats.py OUTDIR.

A folder that exists is left alone: goldens are added, never made again in place.
"""

import base64
import hashlib
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import ml_dtypes
import numpy as np
import tensorflow as tf

FLOATS = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float4_e2m1fn": ml_dtypes.float4_e2m1fn,
}
INTEGERS = ["int4", "uint4", "int2", "uint2"]
RANDOM = 1 << 20
ABOUT = """Conversions of the floats of up to 16 bits and of the integers of up to 4, between bit patterns and numbers. Hashes are
SHA-256 of little-endian arrays, tables base64 of them.

"decode" is of all bit patterns in ascending order: the hash of their values as float32 and as float64 (astype), of float64
a table too where there are at most 256. NaNs are hashed with all their bits.

"encode" is of float32 and float64 inputs (astype): hashes of the inputs and of the patterns, one or two bytes each.
"edges" are six numbers for each bit pattern p whose value v is finite, in ascending order of p: the numbers with the bits
of v minus 1, v, plus 1, then the same of the midpoint (v + w) / 2. w is the value of p + 1; where that is not finite, of the
other sign, or no pattern, w = v + (v - the value of p - 1). "random" are 2^20 numbers: with h(i) = splitmix64 of
seed 0 after i + 1 steps, the first half have the bits of h(i) (its upper 32 for float32), the others those bits with the exponent
(bias + h(i) mod 48 − 28). For float4_e2m1fn, which has no NaN, an input that is NaN counts as 0.

float32 is what ml_dtypes (numpy for float16) gives, and is checked here to be the nearest number, of two equally near ones the even
one. ml_dtypes rounds float64 to float32 first, so that some results are not the nearest ("ml_dtypes_off"): the hashes are of the
nearest, which this script finds in two ways, from a sorted table and through float32 rounded to odd. "tf_cast_differs" counts
numbers, and "tf_cast_nan_differs" NaNs, of which tf.cast gives other patterns than those hashed; null: tf.cast refuses the dtype.
Of float64 it rounds to float32 first for float16 and bfloat16, not for the float8 kinds, and makes 0 of what is below 2^-126.

"integers" are the values of all 256 bytes as int8 (uint8 of unsigned types): only the low bits count."""


def splitmix(n):
    z = (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def unsigned(dtype):
    return np.dtype("u%d" % np.dtype(dtype).itemsize)


def sha(a):
    return hashlib.sha256(a.astype(a.dtype.newbyteorder("<")).tobytes()).hexdigest()


def table(a):
    return base64.b64encode(a.astype(a.dtype.newbyteorder("<")).tobytes()).decode()


def patterns(name):
    d = FLOATS[name]
    n = 16 if name.startswith("float4") else 256 ** np.dtype(d).itemsize
    return np.arange(n).astype(unsigned(d)).view(d)


# Inputs


def edges(name, wide):
    v = patterns(name).astype(np.float64)
    finite = np.isfinite(v)
    below, above = np.roll(v, 1), np.roll(v, -1)
    half = len(v) // 2
    last = np.arange(len(v)) % half == half - 1
    w = np.where(np.isfinite(above) & ~last, above, v + (v - below))
    v, w = v[finite], w[finite]
    made = []
    for x in (v, (v + w) / 2):
        bits = x.astype(wide).view(unsigned(wide))
        assert (x.astype(wide) == x).all()
        made += [bits - bits.dtype.type(1), bits, bits + bits.dtype.type(1)]
    return np.stack(made, axis=1).reshape(-1).view(wide)


def random(wide):
    h = splitmix(RANDOM)
    bits = h if wide == np.float64 else (h >> np.uint64(32)).astype(np.uint32)
    mantissa, exponents, bias = (52, 11, 1023) if wide == np.float64 else (23, 8, 127)
    exponent = (h % np.uint64(48)).astype(bits.dtype) + bits.dtype.type(bias - 28)
    mask = bits.dtype.type(((1 << exponents) - 1) << mantissa)
    shaped = bits & ~mask | exponent << bits.dtype.type(mantissa)
    return np.where(np.arange(RANDOM) < RANDOM // 2, bits, shaped).view(wide)


# The nearest number, in two ways that know nothing of ml_dtypes's rounding


def nearest(name, x):
    """The patterns of the numbers nearest to x, except of NaN and of what is too large: those are ml_dtypes's."""
    p = patterns(name)
    positive = p[:len(p) // 2].astype(np.float64)
    positive = positive[np.isfinite(positive)]
    middle = (positive + np.append(positive[1:], 2 * positive[-1] - positive[-2])) / 2
    i = np.searchsorted(middle, np.abs(x), side="left")
    tie = middle[np.minimum(i, len(middle) - 1)] == np.abs(x)
    i = np.where(tie & (i % 2 == 1), i + 1, i)
    special = ~(i < len(positive))
    found = i + np.where(np.signbit(x), len(p) // 2, 0)
    if name.endswith("fnuz"):
        found[i == 0] = 0
    found = found.astype(p.view(unsigned(p.dtype)).dtype)
    huge = np.where(np.isnan(x), x, np.copysign(np.inf, x))
    return np.where(special, huge.astype(p.dtype).view(found.dtype), found)


def through_odd(name, x):
    """Rounds to float32 such that the last bit remembers what was lost, which makes ml_dtypes's second rounding right."""
    d = FLOATS[name]
    y = x.astype(np.float32)
    bits = y.view(np.uint32)
    inexact = np.isfinite(x) & (y.astype(np.float64) != x)
    toward_zero = bits - (np.abs(y.astype(np.float64)) > np.abs(x)).astype(np.uint32)
    bits = np.where(inexact, toward_zero | np.uint32(1), bits)
    return bits.view(np.float32).astype(d).view(unsigned(d))


def cast(name, x, want):
    try:
        got = tf.cast(tf.constant(x), name).numpy().view(want.dtype)
    except tf.errors.OpError:
        return None, None
    differs, nan = got != want, np.isnan(x)
    return int((differs & ~nan).sum()), int((differs & nan).sum())


def encode(name, x):
    d = FLOATS[name]
    if name.startswith("float4"):
        x = np.where(np.isnan(x), x.dtype.type(0), x)
    theirs = x.astype(d).view(unsigned(d))
    best = nearest(name, x.astype(np.float64))
    best = np.where(np.isnan(x), theirs, best)
    off = int((theirs != best).sum())
    if x.dtype == np.float32 or name == "float16":
        assert off == 0, name
    else:
        assert ((through_odd(name, x) == best) | np.isnan(x)).all(), name
    differs, nan = cast(name, x, best)
    return {"inputs": len(x), "inputs_sha256": sha(x.view(unsigned(x.dtype))), "sha256": sha(best), "ml_dtypes_off": off,
            "tf_cast_differs": differs, "tf_cast_nan_differs": nan}


def float_dtype(name):
    p = patterns(name)
    decode = {str(np.dtype(wide)): {"sha256": sha(p.astype(wide).view(unsigned(wide)))} for wide in (np.float32, np.float64)}
    if len(p) <= 256:
        decode["float64"]["table"] = table(p.astype(np.float64).view(np.uint64))
    return {"patterns": len(p), "decode": decode, "encode": {
        str(np.dtype(wide)): {"edges": encode(name, edges(name, wide)), "random": encode(name, random(wide))}
        for wide in (np.float32, np.float64)}}


def integer_dtype(name):
    wide = np.uint8 if name.startswith("u") else np.int8
    return table(np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, name)).astype(wide))


# Files


def manifest(directory):
    lines = ["# tensorflow-2.21.0-smallfloats", "", ABOUT, "",
             "Made with TensorFlow %s, ml_dtypes %s, NumPy %s, Python %d.%d, Linux, CPU (amd64):" % (
                 tf.__version__, ml_dtypes.__version__, np.__version__, *sys.version_info[:2]), "",
             "    python interop/smallfloats.py testdata/tensorflow-2.21.0-smallfloats", "",
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
    with np.errstate(all="ignore"):
        made = {"floats": {name: float_dtype(name) for name in FLOATS},
                "integers": {name: integer_dtype(name) for name in INTEGERS}}
    os.makedirs(directory)
    with open(os.path.join(directory, "smallfloats.json"), "w") as f:
        f.write(json.dumps(made, indent=1) + "\n")
    manifest(directory)
    print("made:", directory)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python interop/smallfloats.py OUTDIR")
    main(sys.argv[1])
