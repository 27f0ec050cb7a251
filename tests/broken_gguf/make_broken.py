#!/usr/bin/env python3
"""Makes broken, and legal but odd, GGUF files from small valid ones.

    make_broken.py DIRECTORY

writes the files and `table.tsv` into the directory: a line a file, with its path, the verdict
(`refused` or `legal`) and words of which the message must hold one, separated by `|`. The table is
made by the calls of `refused` and `legal` below: what stands beside a case is what it must be.

The files are the same in every run.
"""

import os
import struct
import sys

from gguf_bytes import (ARRAY, BOOL, F32, F64, I8, I16, I32, I64, TEXT, U8, U16, U32, U64,
                        TENSOR_BF16, TENSOR_F16, TENSOR_F32, TENSOR_Q4_0, TENSOR_Q4_K, TENSOR_Q5_1,
                        TENSOR_Q8_0, Gguf)

CASES = []  # (path, verdict, words, content)


def case(path, verdict, words, content):
    assert path not in (other[0] for other in CASES), path
    CASES.append((path, verdict, words, content))


def refused(path, words, content):
    case(path + ".gguf", "refused", words, content)


def legal(path, content):
    case(path + ".gguf", "legal", "", content)


def beside(path, content):
    """A file that belongs to another case and is not opened itself."""
    case(path + ".gguf", "", "", content)


KEYS = [
    ("general.architecture", TEXT, "llama"),
    ("general.alignment", U32, 32),
    ("llama.block_count", U32, 2),
    ("llama.rope.freq_base", F32, 10000.0),
    ("some.boolean", BOOL, 1),
    ("some.byte", I8, -3),
    ("some.wide", U64, 2**63),
    ("tokenizer.ggml.tokens", ARRAY, (TEXT, ["a", "bc", ""])),
    ("tokenizer.ggml.scores", ARRAY, (F32, [0.0, -1.0, -2.5])),
    ("tokenizer.ggml.token_type", ARRAY, (I32, [1, 1, 3])),
    ("some.booleans", ARRAY, (BOOL, [0, 1])),
]
TENSORS = [
    ("token_embd.weight", (32, 3), TENSOR_Q8_0),
    ("output_norm.weight", (32,), TENSOR_F32),
    ("output.weight", (32, 3), TENSOR_F16),
]
VALID = Gguf(KEYS, TENSORS)


def one_key(key, kind, value, **options):
    return Gguf([(key, kind, value)], [], **options).bytes()


def one_tensor(name, shape, kind, **own):
    """Its data may be absent, where the table of tensors is to be refused before it matters."""
    options = {key: own.pop(key) for key in ("alignment", "data") if key in own}
    return Gguf([], [(name, shape, kind, own)], **options).bytes()


def valid_files():
    legal("valid/version-3", VALID.bytes())
    legal("valid/version-2", Gguf(KEYS, TENSORS, version=2).bytes())


def cuts():
    """The file ends at the beginning of each field, and in the middle of each."""
    whole = VALID.bytes()
    count = VALID.field("key count")
    for field in VALID.fields:
        places = {"before": field.offset}
        if field.size > 1:
            places["inside"] = field.offset + field.size // 2
        for where, end in places.items():
            name = f"cut/{field.offset:04}-{where}-{field.name.replace(' ', '-')}"
            if field.size == 0 or end == len(whole):
                continue
            if end == 0:
                refused(name, "is empty", b"")
            elif end < 4:
                refused(name, "ends inside its first word", whole[:end])
            elif end < count.offset + count.size:
                refused(name, "the file ends inside it", whole[:end])
            elif end < VALID.header_end:
                refused(name, "the file ends inside it|do not fit into", whole[:end])
            elif field.name == "tensor2 padding":
                legal(name, whole[:end])  # nobody needs what would follow the last tensor
            else:
                refused(name, "missing, perhaps because a download was cut short", whole[:end])
    refused("cut/last-byte-of-the-data", "1 bytes of the file are missing",
            whole[:VALID.field("tensor2 padding").offset - 1]
            if VALID.field("tensor2 padding").size else whole[:-1])


# What each kind of header field must not hold, and what the message then says.
BAD_NUMBERS = {
    "version": [(0, "version is 0"), (1, "version 1 is not read"), (4, "version 4 is not read"),
                (0x03000000, "big-endian"), (0x02000000, "big-endian"), (0x00010000, "big-endian"),
                (2**32 - 1, "is not read")],
    "count": [(-1, "negative"), (2**63, "negative"), (2**63 - 1, "do not fit into"),
              (2**60, "do not fit into"), (2**32, "do not fit into")],
    "key length": [(0, "empty"), (2**64 - 1, "longer than the format"), (2**60, "longer than"),
                   (2**30 + 1, "longer than"), (2**30, "the file ends inside it")],
    "value length": [(2**64 - 1, "longer than the format"), (2**60, "longer than"),
                     (2**30 + 1, "longer than"), (2**30, "the file ends inside it")],
    "value type": [(13, "type 13 is not one"), (2**32 - 1, "is not one of the format")],
    "element type": [(ARRAY, "array of arrays"), (13, "type 13 is not one"),
                     (2**32 - 1, "is not one of the format")],
    "element count": [(2**64 - 1, "more than the format"), (2**60, "more than the format"),
                      (2**30 + 1, "more than the format"), (2**30, "do not fit into")],
    "boolean": [(2, "neither 0 nor 1"), (255, "neither 0 nor 1")],
    "tensor name length": [(2**64 - 1, "longer than the format"), (2**60, "longer than"),
                           (2**30, "the file ends inside it"), (64, "more than 63")],
    "dimensions": [(5, "more than 4"), (2**31, "more than 4"), (2**32 - 1, "more than 4")],
    "length": [(-1, "negative"), (2**63, "negative"), (2**63 - 1, "63 bits|64 bits|multiple of"),
               (2**62, "63 bits|begin at|missing|not fit")],
    "tensor type": [(42, "type 42 is not one"), (2**31, "is not one of the format"),
                    (2**32 - 1, "is not one of the format"), (16, "IQ2_XXS"), (26, "I32"),
                    (4, "Q4_2"), (34, "TQ1_0")],
    "offset": [(1, "begin at 1"), (32 * 1024, "begin at 32768"), (2**64 - 32, "begin at"),
               (2**64 - 1, "begin at"), (2**63, "begin at")],
}


def header_fields():
    """Each number of the header, with each value that its kind must not have."""
    for field in VALID.fields:
        for value, words in BAD_NUMBERS.get(field.kind, []):
            name = f"field/{field.offset:04}-{field.name.replace(' ', '-')}-{value % 2**64:x}"
            refused(name, words, VALID.with_number(field.name, value))
    for place in range(4):
        data = bytearray(VALID.bytes())
        data[place] ^= 0x20
        refused(f"field/0000-magic-{place}", "does not begin with 'GGUF'", bytes(data))


def counts():
    legal("counts/fewer-tensors", VALID.with_number("tensor count", 2))
    legal("counts/no-tensors", VALID.with_number("tensor count", 0))
    refused("counts/one-tensor-more", "longer than the format",
            VALID.with_number("tensor count", 4))
    refused("counts/one-key-more", "not one of the format|longer than|ends inside",
            VALID.with_number("key count", len(KEYS) + 1))
    refused("counts/one-key-fewer", "more than|ends inside|longer than|not one of",
            VALID.with_number("key count", len(KEYS) - 1))
    refused("counts/key-that-is-not-there", "do not fit into", Gguf([], [], key_count=1).bytes())
    refused("counts/tensor-that-is-not-there", "do not fit into",
            Gguf([], [], tensor_count=1).bytes())
    legal("counts/nothing-at-all", Gguf([], []).bytes())


def keys():
    refused("keys/twice", "stands twice",
            Gguf([("a", U32, 1), ("b", U32, 1), ("a", TEXT, "x")], []).bytes())
    refused("keys/empty", "empty", one_key("", U32, 1))
    legal("keys/longest", one_key("k" * 65535, U32, 1))
    refused("keys/too-long", "more than 65535", one_key("k" * 65536, U32, 1))
    legal("keys/not-ascii", one_key("schlüssel mit raum", U32, 1))
    legal("keys/not-utf-8", one_key(b"\xff\xfe\x00", U32, 1))
    refused("keys/terminal-codes-in-the-name", "not one of the format",
            one_key("\x1b[2J\x07\nnew line", U32, 1).replace(struct.pack("<II", U32, 1),
                                                             struct.pack("<II", 99, 1)))
    for kind, value in ((U8, 255), (I8, -128), (U16, 65535), (I16, -32768), (U32, 2**32 - 1),
                        (I32, -2**31), (F32, float("nan")), (BOOL, 0), (TEXT, ""),
                        (U64, 2**64 - 1), (I64, -2**63), (F64, float("inf"))):
        legal(f"keys/extreme-of-type-{kind}", one_key("k", kind, value))
        array = one_key("k", ARRAY, (kind, [value] * 3))
        if kind == U64:
            refused(f"keys/array-of-type-{kind}", "63 bits", array)
        else:
            legal(f"keys/array-of-type-{kind}", array)
        legal(f"keys/empty-array-of-type-{kind}", one_key("k", ARRAY, (kind, [])))
    refused("keys/array-of-arrays", "array of arrays", one_key("k", ARRAY, (ARRAY, [])))
    inner = struct.pack("<IQI", U32, 1, 7)
    refused("keys/array-of-filled-arrays", "array of arrays", one_key("k", ARRAY, (ARRAY, [inner])))
    refused("keys/array-of-unknown", "not one of the format", one_key("k", ARRAY, (13, [])))
    legal("keys/text-of-zeros", one_key("k", TEXT, b"\0" * 100))
    many = [(f"key.{i}", U32, i) for i in range(3000)]
    legal("keys/three-thousand", Gguf(many, []).bytes())
    refused("keys/last-of-three-thousand-twice", "stands twice",
            Gguf(many + [("key.7", U32, 1)], []).bytes())


def array_counts():
    """Counts that wrap around when they are multiplied by the size of an element."""
    for kind in (U8, U16, U32, U64, TEXT, F32, F64, BOOL):
        file = Gguf([("k", ARRAY, (kind, []))], [])
        for count, words in ((1, "do not fit into"), (2**30, "do not fit into"),
                             (2**61, "more than the format"), (2**62 + 1, "more than the format"),
                             (2**64 - 1, "more than the format")):
            refused(f"arrays/type-{kind}-count-{count:x}", words,
                    file.with_number("key0 element count", count))
    texts = Gguf([("k", ARRAY, (TEXT, ["a", "b", "c"]))], [])
    for number in range(3):
        refused(f"arrays/text-{number}-past-the-end", "the file ends inside it",
                texts.with_number(f"key0 element {number} length", 1000))
    refused("arrays/boolean-2", "neither 0 nor 1", one_key("k", ARRAY, (BOOL, [0, 2])))
    # A byte of the file becomes eight in memory: 64 MiB of them are allowed, and no more.
    legal("arrays/bytes-that-widen-to-32-MiB", array_of_bytes(4 << 20))
    refused("arrays/bytes-that-widen-to-96-MiB", "more memory than the file",
            array_of_bytes(12 << 20))


def array_of_bytes(count):
    file = Gguf([("k", ARRAY, (U8, []))], [])
    return file.with_number("key0 element count", count) + b"\1" * count


def alignments():
    for value in (0, 3, 31, 33, 48, 2**32 - 1):
        refused(f"alignment/{value}", "power of two",
                Gguf([("general.alignment", U32, value)], TENSORS).bytes())
    for value in (1, 8, 16, 64, 4096):
        legal(f"alignment/{value}",
              Gguf([("general.alignment", U32, value)], TENSORS, alignment=value).bytes())
    legal("alignment/64-bit", Gguf([("general.alignment", U64, 32)], TENSORS).bytes())
    legal("alignment/signed", Gguf([("general.alignment", I32, 32)], TENSORS).bytes())
    refused("alignment/2^31", "missing",
            Gguf([("general.alignment", U32, 2**31)], TENSORS[:1]).bytes())
    for name, value in (("2^32", 2**32), ("2^63", 2**63), ("odd", 2**63 + 1)):
        refused(f"alignment/{name}-in-64-bits", "power of two",
                Gguf([("general.alignment", U64, value)], TENSORS).bytes())
    refused("alignment/negative", "negative",
            Gguf([("general.alignment", I32, -32)], TENSORS).bytes())
    refused("alignment/text", "not an integer",
            Gguf([("general.alignment", TEXT, "32")], TENSORS).bytes())
    refused("alignment/number", "not an integer",
            Gguf([("general.alignment", F32, 32.0)], TENSORS).bytes())
    refused("alignment/other-than-the-file-has", "begin at",
            Gguf([("general.alignment", U32, 64)],
                 [("a", (8,), TENSOR_F32), ("b", (8,), TENSOR_F32)], alignment=32).bytes())


def tensors():
    f32 = TENSOR_F32
    legal("tensors/name-of-63", one_tensor("n" * 63, (1,), f32))
    refused("tensors/name-of-64", "more than 63", one_tensor("n" * 64, (1,), f32))
    legal("tensors/name-empty", one_tensor("", (1,), f32))
    legal("tensors/name-not-utf-8", one_tensor(b"\xff\x00\x1b[31m", (1,), f32))
    refused("tensors/terminal-codes-in-the-name", "'x\\x1b[2J\\x0a' (1 of 1)",
            one_tensor("x\x1b[2J\n", (1,), f32, type=99))
    refused("tensors/name-twice", "same name",
            Gguf([], [("a", (1,), f32), ("b", (1,), f32), ("a", (2,), f32)]).bytes())
    for dimensions in range(5):
        legal(f"tensors/dimensions-{dimensions}", one_tensor("t", (2,) * dimensions, f32))
    refused("tensors/dimensions-5", "more than 4", one_tensor("t", (1,) * 5, f32))
    legal("tensors/empty-dimension", one_tensor("t", (4, 0, 3), f32))
    legal("tensors/empty-row", one_tensor("t", (0, 4), f32))
    refused("tensors/empty-beside-huge", "63 bits",
            one_tensor("t", (0, 2**62, 2**62), f32, data=b""))
    for shape in ((2**32, 2**32), (2**31, 2**31, 2), (2**21, 2**21, 2**21, 2), (2**63 - 1, 2),
                  (2**16,) * 4, (1, 2**62, 2)):
        name = "x".join(str(length) for length in shape)
        refused(f"tensors/elements-overflow-{name}", "63 bits",
                one_tensor("t", shape, f32, data=b""))
    refused("tensors/bytes-overflow", "64 bits", one_tensor("t", (2**62,), f32, data=b""))
    refused("tensors/bytes-overflow-of-blocks", "missing|64 bits",
            one_tensor("t", (2**62, 1), TENSOR_Q8_0, data=b""))
    refused("tensors/largest-that-fits-63-bits", "missing",
            one_tensor("t", (2**60,), f32, data=b""))
    for axis in range(4):
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        refused(f"tensors/negative-length-{axis}", f"dimension {axis} is negative",
                one_tensor("t", shape, f32, data=b""))
    tensor_blocks()
    tensor_types()
    tensor_offsets()


def tensor_blocks():
    for kind, name in ((TENSOR_Q4_0, "q4_0"), (TENSOR_Q8_0, "q8_0"), (TENSOR_Q5_1, "q5_1"),
                       (TENSOR_Q4_K, "q4_k")):
        block = kind[1]
        legal(f"tensors/blocks-{name}", one_tensor("t", (2 * block, 2), kind))
        for columns in (1, block - 1, block + 1, block // 2):
            refused(f"tensors/blocks-{name}-rows-of-{columns}", "not a multiple of",
                    one_tensor("t", (columns, block), kind, data=bytes(4096)))


def tensor_types():
    for kind, name in ((TENSOR_F32, "f32"), (TENSOR_F16, "f16"), (TENSOR_BF16, "bf16")):
        legal(f"tensors/type-{name}", one_tensor("t", (3, 2), kind))
    for number, name in ((4, "Q4_2"), (5, "Q4_3"), (9, "Q8_1"), (15, "Q8_K"), (16, "IQ2_XXS"),
                         (17, "IQ2_XS"), (18, "IQ3_XXS"), (19, "IQ1_S"), (21, "IQ3_S"),
                         (22, "IQ2_S"), (24, "I8"), (25, "I16"), (26, "I32"), (27, "I64"),
                         (28, "F64"), (29, "IQ1_M"), (31, "Q4_0_4_4"), (33, "Q4_0_8_8"),
                         (34, "TQ1_0"), (35, "TQ2_0"), (36, "IQ4_NL_4_4"), (40, "NVFP4")):
        refused(f"tensors/type-{number}", f"encoding is {name},",
                one_tensor("t", (256,), TENSOR_F32, type=number))
    for number in (42, 100, 2**16, 2**31, 2**32 - 1):
        refused(f"tensors/type-{number}", f"type {number} is not one of the format",
                one_tensor("t", (256,), TENSOR_F32, type=number))


def tensor_offsets():
    def second(offset, **options):
        return Gguf([], [("a", (8,), TENSOR_F32), ("b", (8,), TENSOR_F32, {"offset": offset})],
                    **options).bytes()
    legal("tensors/offset-32", second(32))
    for offset in (0, 1, 16, 31, 33, 64, 2**32, 2**63, 2**64 - 32, 2**64 - 1):
        refused(f"tensors/offset-{offset}", "begin at", second(offset))
    refused("tensors/first-offset-32", "begin at 32", one_tensor("t", (8,), TENSOR_F32, offset=32))
    refused("tensors/sum-of-offsets-overflows", "64 bits|missing",
            Gguf([], [("a", (2**61 - 8,), TENSOR_F32), ("b", (2**61 - 8,), TENSOR_F32),
                      ("c", (2**61 - 8,), TENSOR_F32)], data=b"").bytes())
    refused("tensors/order-exchanged", "begin at",
            Gguf([], [("a", (8,), TENSOR_F32, {"offset": 32}),
                      ("b", (8,), TENSOR_F32, {"offset": 0})]).bytes())
    refused("tensors/both-at-0", "begin at",
            Gguf([], [("a", (8,), TENSOR_F32), ("b", (8,), TENSOR_F32, {"offset": 0})]).bytes())
    legal("tensors/bytes-after-the-end", VALID.bytes() + b"more")
    refused("tensors/no-data", "missing", VALID.bytes()[:VALID.header_end])
    refused("tensors/half-the-data", "missing",
            VALID.bytes()[:(VALID.data_offset + VALID.end) // 2])


def split_part(part, count, tensors, total=3, **more):
    keys = [("split.no", U16, part), ("split.count", U32, count),
            ("split.tensors.count", I32, total)]
    if part == 0:
        keys = [("general.architecture", TEXT, "llama")] + keys
    keys = [(key, *more.get(key.replace(".", "_"), value)) for key, *value in keys]
    return Gguf([key for key in keys if key[1] is not None], tensors).bytes()


def split(folder, opened, verdict, words, **changes):
    """Three parts of a tensor each in a folder; `changes` has other bytes, or None, for some."""
    for part in range(3):
        content = changes.get(f"part{part}", split_part(part, 3, TENSORS[part:part + 1]))
        if content is None:
            continue
        path = f"split/{folder}/model-{part + 1:05}-of-00003.gguf"
        if part == opened:
            case(path, verdict, words, content)
        else:
            case(path, "", "", content)


def splits():
    for part in range(3):
        split(f"whole-{part}", part, "legal", "")
    split("first-missing", 1, "refused", "model-00001-of-00003.gguf is missing", part0=None)
    split("second-missing", 0, "refused", "model-00002-of-00003.gguf is missing", part1=None)
    split("last-missing", 0, "refused", "model-00003-of-00003.gguf is missing", part2=None)
    split("tensor-twice", 0, "refused", "as well", part2=split_part(2, 3, TENSORS[1:2]))
    split("too-few-tensors", 0, "refused", "has 2 tensors", part2=split_part(2, 3, []))
    split("too-many-tensors", 1, "refused", "has 4 tensors",
          part2=split_part(2, 3, TENSORS[2:] + [("more", (1,), TENSOR_F32)]))
    split("of-another-model", 0, "refused", "same model", part2=split_part(2, 3, TENSORS[2:], 9))
    split("other-number", 0, "refused", "does not say that it is part 2 of 3",
          part1=split_part(2, 3, TENSORS[1:2]))
    split("other-count", 0, "refused", "does not say that it is part 2 of 3",
          part1=split_part(1, 4, TENSORS[1:2]))
    split("part-is-whole", 0, "refused", "does not say that it is part 2 of 3",
          part1=Gguf([], TENSORS[1:2]).bytes())
    split("part-cut", 0, "refused", "missing, perhaps", part1=split_part(1, 3, TENSORS[1:2])[:-1])
    split("part-is-a-page", 0, "refused", "model-00002-of-00003.gguf is a web page",
          part1=b"<html>404</html>")
    split("own-number-too-high", 0, "refused", "3 parts from 0",
          part0=split_part(3, 3, TENSORS[:1]))
    split("own-number-is-another", 0, "refused", "its name must end in -00002-of-00003.gguf",
          part0=split_part(1, 3, TENSORS[:1]))
    split("own-number-missing", 0, "refused", "'split.no' is missing",
          part0=split_part(0, 3, TENSORS[:1], split_no=(None, 0)))
    split("own-number-negative", 0, "refused", "negative",
          part0=split_part(0, 3, TENSORS[:1], split_no=(I32, -1)))
    split("count-is-text", 0, "refused", "not an integer",
          part0=split_part(0, 3, TENSORS[:1], split_count=(TEXT, "3")))
    for count in (100000, 2**32, 2**63, 2**64 - 1):
        split(f"count-{count}", 0, "refused", "more than 99999",
              part0=split_part(0, 3, TENSORS[:1], split_count=(U64, count)))
    split("count-99999", 0, "refused", "its name must end in -00001-of-99999.gguf",
          part0=split_part(0, 3, TENSORS[:1], split_count=(U32, 99999)))
    refused("split/many/model-00001-of-99999", "model-00002-of-99999.gguf is missing",
            split_part(0, 99999, TENSORS[:1]))
    refused("split/renamed", "its name must end in -00001-of-00003.gguf",
            split_part(0, 3, TENSORS[:1]))
    legal("split/merged", split_part(0, 0, TENSORS))
    legal("split/only-one", split_part(0, 1, TENSORS))
    refused("split/only-one-but-short", "has 2 tensors", split_part(0, 1, TENSORS[:2]))


def foreign_files():
    """What people hand over for a model, under a name that says GGUF."""
    for name, words, content in (
            ("git-lfs-pointer", "is a Git LFS pointer, not the model itself",
             b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64),
            ("safetensors", "is a safetensors file",
             struct.pack("<Q", 18) + b'{"a":{"dtype":"F3"}' + bytes(16)),
            ("zip", "is a zip archive (perhaps a PyTorch checkpoint)", b"PK\3\4" + bytes(60)),
            ("pickle", "is a Python pickle", b"\x80\x02}q\0." + bytes(20)),
            ("web-page", "is a web page", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"),
            ("web-page-in-capitals", "is a web page", b"\n  <HTML><BODY>no</BODY></HTML>"),
            ("error-of-a-store", "is a web page", b"<?xml version='1.0'?><Error>no</Error>"),
            ("ggml", "from before GGUF", b"lmgg" + bytes(40)),
            ("ggmf", "from before GGUF", b"fmgg" + bytes(40)),
            ("ggjt", "from before GGUF", b"tjgg" + bytes(40)),
            ("ggla", "adapter", b"algg" + bytes(40)),
            ("backwards", "big-endian", b"FUGG" + bytes(40)),
            ("json", "is a JSON text", b'{"model_type": "llama"}'),
            ("gzip", "compressed with gzip", b"\x1f\x8b\x08" + bytes(40)),
            ("zstd", "compressed with zstd", b"\x28\xb5\x2f\xfd" + bytes(40)),
            ("xz", "compressed with xz", b"\xfd7zXZ\0" + bytes(40)),
            ("hdf5", "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(40)),
            ("numpy", "NumPy", b"\x93NUMPY\1\0" + bytes(40)),
            ("program", "is a program", b"\x7fELF" + bytes(40)),
            ("zeros", "begins with zeros", bytes(4096)),
            ("text", "is not a GGUF file", b"Once upon a time there was a model.\n"),
            ("one-byte", "is not a GGUF file", b"x")):
        refused(f"foreign/{name}", words, content)
    case("foreign/directory.gguf", "refused", "is a directory, not a file", None)
    big_endian = b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(100)
    refused("foreign/big-endian", "big-endian", big_endian)
    refused("foreign/version-1", "version 1 is not read",
            b"GGUF" + struct.pack("<III", 1, 0, 0) + bytes(100))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for make in (valid_files, cuts, header_fields, counts, keys, array_counts, alignments, tensors,
                 splits, foreign_files):
        make()
    root = sys.argv[1]
    for path, _, _, content in CASES:
        whole = os.path.join(root, path)
        os.makedirs(whole if content is None else os.path.dirname(whole), exist_ok=True)
        if content is not None:
            with open(whole, "wb") as file:
                file.write(content)
    rows = [row for row in CASES if row[1]]
    with open(os.path.join(root, "table.tsv"), "w", encoding="utf-8") as file:
        for path, verdict, words, _ in rows:
            file.write(f"{path}\t{verdict}\t{words}\n")
    broken = sum(row[1] == "refused" for row in rows)
    print(f"{broken} broken files and {len(rows) - broken} legal ones")


if __name__ == "__main__":
    main()
