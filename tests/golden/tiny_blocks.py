"""Weights as blocks of a quantised encoding: quantised by gguf-py where it can, otherwise random valid
blocks. Either way gguf-py's own dequantisation gives the weights that the reference computes with."""

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType

# Where the float16 scale (and minimum) of a random block lies: byte offset of d, of dmin (or None),
# and the ratio dmin / d that centres the weights on zero.
LAYOUT = {
    Type.Q2_K: (80, 82, 1.5),
    Type.Q3_K: (108, None, 0),
    Type.Q4_K: (0, 2, 7.5),
    Type.Q5_K: (0, 2, 15.5),
    Type.Q6_K: (208, None, 0),
    Type.IQ4_NL: (0, None, 0),
    Type.IQ4_XS: (0, None, 0),
}


def put_half(blocks, offset, values):
    blocks[:, offset : offset + 2] = values.astype("<f2").view(np.uint8).reshape(-1, 2)


def random_blocks(shape, kind, deviation, random):
    """[rows, bytes] whose weights have about the given standard deviation."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rows, columns = shape
    blocks = random.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    d, dmin, ratio = LAYOUT[kind]
    vary = random.uniform(0.5, 1.5, len(blocks))
    unit = 1.0 / 64  # within float16's range with every scale
    for scale in (unit, None):
        if scale is None:  # the second time, with the deviation that the first one had
            scale = unit * deviation / gguf.quants.dequantize(blocks, kind).std()
        put_half(blocks, d, vary * scale)
        if dmin is not None:
            put_half(blocks, dmin, vary * scale * ratio)
    return blocks.reshape(rows, -1)


def encode(weight, kind, random):
    """float32 [rows, columns] to the bytes of a file, [rows, row bytes] (or the floats themselves)."""
    if kind == Type.F32:
        return weight.astype(np.float32)
    if kind == Type.F16:
        return weight.astype(np.float16)
    if kind in LAYOUT:
        return random_blocks(weight.shape, kind, weight.std(), random)
    return gguf.quants.quantize(weight, kind)


def decode(data, kind):
    """What a file's bytes mean, float32 [rows, columns]."""
    return np.ascontiguousarray(gguf.quants.dequantize(data, kind), dtype=np.float32)
