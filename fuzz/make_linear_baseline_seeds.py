#!/usr/bin/env python3
"""Writes fuzz/corpus/linear_baseline: small files without their digests, whole and broken."""
import pathlib
import struct

FOLDER = pathlib.Path(__file__).parent / "corpus" / "linear_baseline"


def baseline(kind, labels, features, width, cost=4.0, version=1, temperature=None):
    content = b"MALINALB" + struct.pack("<IId", version, kind, cost)
    if temperature is not None:
        content += struct.pack("<d", temperature)
    content += struct.pack("<QQ", len(labels), width)
    for label in labels:
        content += struct.pack("<Q", len(label)) + label
    weights = [0.25 * (i % 7) - 0.5 for i in range((width + 1) * len(labels))]
    return content + features + struct.pack(f"<{len(weights)}f", *weights)


def terms(hashes):
    return b"".join(struct.pack("<Qf", h, 1.5) for h in hashes)


texts = baseline(0, [b"no", b"yes"], terms([0x1234567890ABCDEE, 0x0FEDCBA987654321, 3]), 3)
dense = baseline(1, [b"a", b"b", b"c"], struct.pack("<4f", 0.5, -1, 2, 0), 2)
seeds = {
    "texts": texts,
    "dense": dense,
    "discriminant": baseline(2, [b"a", b"b", b"c"], struct.pack("<4f", 0.5, -1, 2, 0), 2, 0.5, temperature=13.0),
    "shrinkage_above_1": baseline(2, [b"a", b"b"], struct.pack("<2f", 0, 1), 1, 4.0, temperature=1.0),
    "no_temperature": baseline(2, [b"a", b"b"], struct.pack("<2f", 0, 1), 1, 0.5, temperature=0.0),
    "no_terms": baseline(0, [b"", b"x"], b"", 0),
    "version_2": baseline(0, [b"a", b"b"], b"", 0, version=2),
    "one_label": baseline(0, [b"a"], b"", 0),
    "labels_out_of_order": baseline(0, [b"b", b"a"], b"", 0),
    "term_twice": baseline(0, [b"a", b"b"], terms([7, 7]), 2),
    "negative_scale": baseline(1, [b"a", b"b"], struct.pack("<2f", 0, -1), 1),
    "not_a_number": baseline(1, [b"a", b"b"], struct.pack("<2f", float("nan"), 1), 1),
    "cut": texts[:-5],
    "more": dense + b"\0\0\0\0",
}
FOLDER.mkdir(parents=True, exist_ok=True)
for name, content in seeds.items():
    (FOLDER / name).write_bytes(content)
