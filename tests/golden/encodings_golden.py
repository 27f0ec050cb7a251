"""Writes tests/golden/encodings: random blocks of every number format with the values that gguf-py
decodes them to, and values with the blocks that gguf-py encodes them to.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python tests/golden/encodings_golden.py

NAME.decode: 3 blocks as they stand in a file (4 rows of 8 values where a block is one value), then
their values in float32. NAME.encode: 256 values in float32, then the blocks.
"""

import pathlib
import zlib

import numpy
from gguf import GGMLQuantizationType as Type
from gguf import GGML_QUANT_SIZES, quants

HALVES = {
    "q4_0": [0], "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_0": [0], "q2_k": [80, 82],
    "q3_k": [108], "q4_k": [0, 2], "q5_k": [0, 2], "q6_k": [208], "iq4_nl": [0], "iq4_xs": [0],
    "mxfp4": [], "f16": [0], "bf16": [], "f32": [],
}
WRITERS = ["f32", "f16", "bf16", "q4_0", "q4_1", "q8_0"]


def generator(name):
    """One for each, so that a new encoding leaves the values of all others as they are."""
    return numpy.random.default_rng([20240611, zlib.crc32(name.encode())])


def main():
    folder = pathlib.Path(__file__).parent / "encodings"
    folder.mkdir(exist_ok=True)
    for name, offsets in HALVES.items():
        random = generator(name)
        kind = Type[name.upper()]
        values, size = GGML_QUANT_SIZES[kind]
        blocks = 3 if values > 1 else 32
        data = random.integers(0, 256, (blocks, size), dtype=numpy.uint8)
        if name in ("f32", "bf16"):  # random bits would hold infinities
            floats = random.normal(size=(blocks, 1)).astype(numpy.float32)
            data = quants.quantize(floats, kind).view(numpy.uint8).reshape(blocks, size)
        if name == "mxfp4":
            data[:, 0] = [0, 1, 130]  # the two subnormal exponents and a common one
        for offset in offsets:
            half = random.normal(scale=0.05, size=(blocks, 1)).astype(numpy.float16)
            data[:, offset:offset + 2] = half.view(numpy.uint8)
        decoded = quants.dequantize(data, kind).astype(numpy.float32)
        (folder / f"{name}.decode").write_bytes(data.tobytes() + decoded.tobytes())
    for name in WRITERS:
        random = generator(name + " written")
        values = random.normal(size=(4, 64)).astype(numpy.float32)
        values[1] *= 1e-3
        values[2, :32] = 0
        values[2, 40] = 3.5  # a tie and a block of one large value
        encoded = quants.quantize(values, Type[name.upper()])
        (folder / f"{name}.encode").write_bytes(values.tobytes() + encoded.tobytes())


if __name__ == "__main__":
    main()
