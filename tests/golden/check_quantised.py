#!/usr/bin/env python3
"""Opens what `malina quantize` writes with the `gguf` package, and reads it to the same floats.

    pip install -r requirements.txt && python3 check_quantised.py PROGRAM MODEL.gguf [ENCODING...]

Every tensor of the model and of its copy is decoded by gguf-py. The difference between the two must be what
malina reports of that tensor, which it takes from its own decoder; metadata must be the original's but for
what says how the file is quantised.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np

ENCODINGS = "q2_k q3_k q4_0 q4_1 q4_k q5_0 q5_1 q5_k q6_k q8_0 f16 bf16".split()
OWN_KEYS = ("general.file_type", "general.quantization_version", "GGUF.", "quantize.", "split.")


def decode(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).ravel()


def metadata(reader):
    return {key: field.contents() for key, field in reader.fields.items()
            if not key.startswith(OWN_KEYS)}


def check(program, model, encoding, folder):
    output = folder / f"{encoding}.gguf"
    report = json.loads(subprocess.run(
        [program, "quantize", model, output, "--to", encoding, "--json"], check=True,
        stdout=subprocess.PIPE).stdout)
    original, written = gguf.GGUFReader(model), gguf.GGUFReader(output)
    assert metadata(original) == metadata(written), encoding
    assert len(original.tensors) == len(written.tensors) == len(report["tensors"])
    for before, after, told in zip(original.tensors, written.tensors, report["tensors"]):
        assert before.name == after.name == told["name"]
        assert list(before.shape) == list(after.shape), told
        assert after.tensor_type.name.lower() == told["to"], told
        assert after.n_bytes == told["bytes"], told
        values, found = decode(before), decode(after)
        difference = np.sqrt(np.sum((found - values) ** 2) / max(np.sum(values ** 2), 1e-300))
        assert abs(difference - told["error"]) <= 1e-6 * max(difference, 1e-3), (told, difference)
    print(f"{pathlib.Path(model).name} {encoding}: {len(written.tensors)} tensors as reported")


def main():
    program, model, *encodings = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for encoding in encodings or ENCODINGS:
            check(program, model, encoding, pathlib.Path(folder))


if __name__ == "__main__":
    main()
