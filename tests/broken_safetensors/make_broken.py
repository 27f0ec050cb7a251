#!/usr/bin/env python3
"""Makes broken, and legal but odd, safetensors directories from small valid ones.

    make_broken.py DIRECTORY

writes the directories and `table.tsv`: a line a directory, with its path, the verdict (`refused` or
`legal`) and words of which the message must hold one, separated by `|`. The table is made by the
calls of `refused` and `legal` below: what stands beside a case is what it must be.

The files are the same in every run.
"""

import json
import os
import struct
import sys

CASES = []  # (path, verdict, words, {file name: content})
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def case(path, verdict, words, files):
    assert path not in (other[0] for other in CASES), path
    if isinstance(files, bytes):
        files = {SINGLE: files}
    CASES.append((path, verdict, words, files))


def refused(path, words, files):
    case(path, "refused", words, files)


def legal(path, files):
    case(path, "legal", "", files)


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


TENSORS = {
    "a": entry("F32", [2, 3], 0, 24),
    "b.weight": entry("F16", [4], 24, 32),
    "c": entry("BF16", [2, 1, 2], 32, 40),
}
DATA = bytes(range(40))


def whole(header, data=DATA, length=None):
    """A file of a header (a text, bytes or an object) and its data."""
    if isinstance(header, (dict, list)):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


VALID = whole(TENSORS)


def changed(name, **changes):
    """The valid header with some keys of one tensor replaced; None removes one."""
    header = {key: dict(value) for key, value in TENSORS.items()}
    for key, value in changes.items():
        if value is None:
            del header[name][key]
        else:
            header[name][key] = value
    return whole(header)


def valid_files():
    legal("valid/plain", VALID)
    legal("valid/no-tensors", whole({}, b""))
    legal("valid/remarks", whole({"__metadata__": {"format": "pt", "": ""}} | TENSORS))
    legal("valid/spaces-at-the-end", whole(json.dumps(TENSORS) + " " * 7))
    legal("valid/other-order", whole(dict(reversed(TENSORS.items()))))
    legal("valid/no-dimensions", whole({"a": entry("F32", [], 0, 4)}, b"1234"))
    legal("valid/empty-dimension", whole({"a": entry("F32", [0, 2**57], 0, 0)}, b""))
    legal("valid/empty-tensors-at-one-place",
          whole({"a": entry("F32", [0], 0, 0), "b": entry("F32", [0], 0, 0)}, b""))
    legal("valid/unicode-name", whole({"é\n": entry("F32", [1], 0, 4)}, b"1234"))
    legal("valid/empty-name", whole({"": entry("F32", [1], 0, 4)}, b"1234"))
    legal("valid/half-bytes", whole({"a": entry("F4", [2], 0, 1)}, b"1"))
    for dtype, size in (("F64", 8), ("BOOL", 1), ("U8", 1), ("I8", 1), ("U16", 2), ("I16", 2), ("U32", 4),
                        ("I32", 4), ("U64", 8), ("I64", 8), ("C64", 8), ("F8_E4M3", 1), ("F8_E5M2", 1),
                        ("F8_E8M0", 1)):
        legal(f"valid/dtype-{dtype}", whole({"a": entry(dtype, [3], 0, 3 * size)}, bytes(3 * size)))


def cuts():
    """The file ends after each number of bytes."""
    header_end = len(VALID) - len(DATA)
    for end in range(0, len(VALID), 3):
        if end == 0:
            words = "is empty"
        elif end < 8:
            words = "too few for a safetensors file"
        elif end < header_end:
            words = "and the file has"
        else:
            words = "perhaps a download was cut short"
        refused(f"cut/{end:03}", words, VALID[:end])
    refused("cut/last-byte", "perhaps a download was cut short", VALID[:-1])
    refused("cut/one-byte-more", "1 bytes after its last tensor", VALID + b"x")


def headers():
    for length in (0, 1):
        refused(f"header/length-{length}", "too few for any|begins with zeros", whole(TENSORS, length=length))
    for length in (2**64 - 1, 2**63, 2**32, 100_000_001):
        refused(f"header/length-{length}", "more than the 100000000|is a ", whole(TENSORS, length=length))
    refused("header/length-100000000", "and the file has", whole(TENSORS, length=100_000_000))
    text = json.dumps(TENSORS)
    refused("header/one-byte-short", "not valid JSON", whole(text, length=len(text) - 1))
    refused("header/one-byte-long", "not valid JSON", whole(text, length=len(text) + 1))
    for name, content in (("list", "[]"), ("space-first", " " + text), ("text", '"a"'), ("number", "12"),
                          ("zeros", "\0\0\0\0")):
        refused(f"header/{name}", "does not begin with '{'", whole(content))
    for name, content in (("zero-after", text + "\0"), ("comma", text[:-1] + ",}"), ("open", text[:-1]),
                          ("two", text + text), ("single-quotes", text.replace('"', "'")),
                          ("comment", "{/**/}"), ("no-value", '{"a"}'), ("nan", '{"a": NaN}'),
                          ("huge-number", '{"a": 1e999}'), ("control-in-text", '{"a\x01": {}}')):
        refused(f"header/{name}", "not valid JSON", whole(content))
    refused("header/not-utf-8", "not valid JSON", whole(b'{"\xff": {}}'))
    refused("header/lone-surrogate", "not valid JSON", whole(b'{"\\ud800": {}}'))
    refused("header/deep", "nested more than 3 deep", whole('{"a":' * 9 + "1" + "}" * 9))
    refused("header/very-deep", "nested more than 3 deep", whole('{"a":' + "[" * 50000))
    one = json.dumps(entry("F32", [1], 0, 4))
    refused("header/name-twice", "key 'a' stands twice", whole(f'{{"a": {one}, "a": {one}}}', b"1234"))
    refused("header/dtype-twice", "key 'dtype' stands twice",
            whole('{"a": {"dtype": "F32", "dtype": "F16", "shape": [1], "data_offsets": [0, 4]}}', b"1234"))
    for name, value in (("number", 1), ("list", []), ("null", None), ("text", "x")):
        refused(f"remarks/{name}", "__metadata__ is not an object", whole({"__metadata__": value} | TENSORS))
        if name != "text":
            refused(f"remarks/holds-{name}", "of __metadata__ is not a text",
                    whole({"__metadata__": {"x": value}} | TENSORS))


def entries():
    for name, value in (("null", None), ("list", []), ("number", 1), ("text", "F32")):
        refused(f"entry/{name}", "tensor 'a' is not an object", whole({"a": value}, b""))
    for key in ("dtype", "shape", "data_offsets"):
        refused(f"entry/no-{key}", f"tensor 'b.weight' has no {key}", changed("b.weight", **{key: None}))
    refused("entry/more", "has the key 'strides'", changed("a", strides=[1]))
    for name, value in (("number", 1), ("list", []), ("object", {})):
        refused(f"dtype/{name}", "a dtype that is not a text", changed("a", dtype=value))
    for value in ("", "f32", "F32 ", "FLOAT", "F128", "Q4_0", "\x1b[31m", "F3\0"):
        refused(f"dtype/unknown-{value.encode().hex() or 'empty'}", "which the format does not have",
                changed("a", dtype=value))
    for name, value in (("text", "[2, 3]"), ("number", 6), ("object", {"0": 2})):
        refused(f"shape/{name}", "a shape that is not a list", changed("a", shape=value))
    for name, value in (("negative", [-2, 3]), ("fraction", [2.0, 3]), ("holds-text", ["2", 3]),
                        ("holds-null", [None, 3]), ("too-large", [2**64, 3]), ("holds-true", [True, 6])):
        refused(f"shape/{name}", "holds other than integers", changed("a", shape=value))
    for name, value in (("smaller", [2, 2]), ("larger", [2, 4]), ("scalar", []), ("empty", [0]),
                        ("more-dimensions", [2, 3, 2])):
        refused(f"shape/{name}", "but its shape and dtype need", changed("a", shape=value))
    for name, value in (("32-bits-each", [2**32, 2**32]), ("one", [2**64 - 1]), ("bits", [2**61]),
                        ("three", [2**30, 2**30, 2**30]), ("around-empty", [0, 2**63, 4])):
        refused(f"shape/overflow-{name}", "more bits of data than 64", changed("a", shape=value))
    refused("shape/nine-dimensions", "more than 8", changed("a", shape=[1] * 9))
    refused("shape/half-byte", "does not fill whole bytes", changed("a", dtype="F4", shape=[3]))
    refused("shape/three-quarters", "does not fill whole bytes", changed("a", dtype="F6_E2M3", shape=[2, 3]))


def offsets():
    for name, value in (("none", []), ("one", [0]), ("three", [0, 24, 24])):
        refused(f"offsets/{name}", "data_offsets instead of 2", changed("a", data_offsets=value))
    for name, value in (("text", "0,24"), ("number", 24), ("object", {"begin": 0})):
        refused(f"offsets/{name}", "data_offsets that is not a list", changed("a", data_offsets=value))
    for name, value in (("negative", [-24, 0]), ("fraction", [0, 24.0]), ("too-large", [0, 2**64]),
                        ("holds-text", ["0", "24"])):
        refused(f"offsets/{name}", "holds other than integers", changed("a", data_offsets=value))
    refused("offsets/backwards", "before its begin", changed("a", data_offsets=[24, 0]))
    refused("offsets/short", "but its shape and dtype need 24", changed("a", data_offsets=[0, 23]))
    refused("offsets/long", "but its shape and dtype need 24", changed("a", data_offsets=[0, 25]))
    refused("offsets/at-the-end-of-64-bits", "but the data before it ends at",
            changed("c", data_offsets=[2**64 - 9, 2**64 - 1]))
    refused("offsets/shifted", "begins at byte 1 of the data", changed("a", data_offsets=[1, 25]))
    refused("offsets/overlap", "but the data before it ends at", changed("b.weight", data_offsets=[20, 28]))
    refused("offsets/same-place", "but the data before it ends at",
            whole({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, b"1234"))
    refused("offsets/hole", "but the data before it ends at",
            whole({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, b"123456789abc"))
    refused("offsets/hole-before-all", "but the data before it ends at 0",
            whole({"a": entry("F32", [1], 4, 8)}, b"12345678"))
    refused("offsets/empty-tensor-in-another", "but the data before it ends at",
            whole({"a": entry("F32", [1], 0, 4), "b": entry("F32", [0], 2, 2)}, b"1234"))
    refused("offsets/after-the-end", "after the end of the file",
            whole({"a": entry("F32", [3], 0, 12)}, b"12345678"))
    refused("offsets/bytes-after", "4 bytes after its last tensor",
            whole({"a": entry("F32", [1], 0, 4)}, b"12345678"))
    refused("offsets/data-without-tensors", "4 bytes after its last tensor", whole({}, b"1234"))


def index(weight_map, **more):
    return json.dumps({"metadata": {"total_size": 40}, "weight_map": weight_map} | more).encode()


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SHARDS = {
    FIRST: whole({"a": entry("F32", [2, 3], 0, 24)}, DATA[:24]),
    SECOND: whole({"b": entry("F16", [4], 0, 8), "c": entry("BF16", [4], 8, 16)}, DATA[24:]),
}
MAP = {"a": FIRST, "b": SECOND, "c": SECOND}


def sharded(**changes):
    files = SHARDS | {INDEX: index(MAP)}
    for name, content in changes.items():
        name = {"first": FIRST, "second": SECOND, "index": INDEX}[name]
        files[name] = content
    return {name: content for name, content in files.items() if content is not None}


def indexes():
    legal("index/valid", sharded())
    legal("index/without-remarks", sharded(index=json.dumps({"weight_map": MAP}).encode()))
    legal("index/not-read-beside-a-single-file", sharded(index=b"no JSON") | {SINGLE: VALID})
    for name, content in (("text", b"no JSON"), ("empty", b""), ("cut", index(MAP)[:-3]),
                          ("pointer", b"version https://git-lfs.github.com/spec/v1\n")):
        refused(f"index/not-json-{name}", "is not valid JSON", sharded(index=content))
    refused("index/list", "it is not a JSON object", sharded(index=b"[]"))
    refused("index/no-map", "it has no weight_map", sharded(index=b"{}"))
    refused("index/map-is-a-list", "it has no weight_map", sharded(index=index([FIRST])))
    refused("index/map-is-empty", "its weight_map is empty", sharded(index=index({})))
    refused("index/name-twice", "key 'a' stands twice",
            sharded(index=f'{{"weight_map": {{"a": "{FIRST}", "a": "{FIRST}"}}}}'.encode()))
    refused("index/deep", "nested more than 16 deep", sharded(index=b'{"weight_map":' + b"[" * 5000))
    for name, value in (("number", 1), ("null", None), ("list", [FIRST])):
        refused(f"index/file-is-{name}", "a file that is not a text", sharded(index=index(MAP | {"a": value})))
    for name, value in (
            ("up", "../" + FIRST), ("up-twice", "../../etc/x.safetensors"), ("absolute", "/etc/x.safetensors"),
            ("folder", "folder/x.safetensors"), ("here", "./" + FIRST), ("backslash", "..\\x.safetensors"),
            ("dots", ".."), ("dot", "."), ("empty", ""), ("no-name", ".safetensors"), ("other-end", "passwd"),
            ("zero", "x\0.safetensors"), ("zero-after", FIRST + "\0"), ("space", "x .safetensors"),
            ("newline", "x\n.safetensors"), ("escape", "\x1b[31m.safetensors"), ("long", "x" * 300 + ".safetensors"),
            ("unicode", "é.safetensors"), ("address", "https://x/y.safetensors"), ("deleted", "\x7f.safetensors")):
        refused(f"index/file-{name}", "not the plain name of a .safetensors file",
                sharded(index=index(MAP | {"a": value})))
    refused("index/shard-missing", f"{SECOND} is missing", sharded(second=None))
    refused("index/other-shard-missing", f"{FIRST} is missing", sharded(first=None))
    refused("index/tensor-missing", "tensor 'd' is not in it", sharded(index=index(MAP | {"d": SECOND})))
    refused("index/tensor-in-the-other", "tensor 'b' is not in it", sharded(index=index(MAP | {"b": FIRST})))
    refused("index/tensor-not-named", "holds tensor 'c', which model.safetensors.index.json does not name",
            sharded(index=index({"a": FIRST, "b": SECOND})))
    refused("index/tensor-twice", "stands in",
            sharded(second=whole({"a": entry("F16", [4], 0, 8), "c": entry("BF16", [4], 8, 16)}, DATA[24:])))
    refused("index/shard-cut", "perhaps a download was cut short", sharded(second=SHARDS[SECOND][:-1]))
    refused("index/shard-is-a-page", "is a web page", sharded(first=b"<html>404 not found</html>"))
    refused("index/shard-is-empty", "is empty", sharded(first=b""))
    refused("index/too-many-files", "names 513 files, more than 512",
            {INDEX: index({str(i): f"{i}.safetensors" for i in range(513)})})
    refused("index/nothing-there", "has neither model.safetensors nor", {"README.md": b"x"})


def foreign_files():
    """What people hand over for a model, under a name that says safetensors."""
    for name, words, content in (
            ("git-lfs-pointer", "is a Git LFS pointer, not the model itself",
             b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64),
            ("web-page", "is a web page", b"<!DOCTYPE html><html></html>"),
            ("gguf", "is a GGUF file, not a safetensors file", b"GGUF" + bytes(60)),
            ("pickle", "is a Python pickle", b"\x80\x02}q\x00" + bytes(60)),
            ("zip", "is a zip archive", b"PK\x03\x04" + bytes(range(60))),
            ("gzip", "is compressed with gzip", b"\x1f\x8b" + bytes(range(60))),
            ("json", "is a JSON text", b'{"error": "not found", "status": 404}'),
            ("zeros", "begins with zeros", bytes(64)),
            ("text", "more than the 100000000", b"Hello, this is not a model at all.")):
        refused(f"foreign/{name}", words, content)


def main():
    directory = sys.argv[1]
    for make in (valid_files, cuts, headers, entries, offsets, indexes, foreign_files):
        make()
    table = []
    for path, verdict, words, files in CASES:
        folder = os.path.join(directory, path)
        os.makedirs(folder, exist_ok=True)
        for name, content in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        table.append(f"{path}\t{verdict}\t{words}\n")
    with open(os.path.join(directory, "table.tsv"), "w", encoding="utf-8") as file:
        file.writelines(table)
    count = sum(case[1] == "refused" for case in CASES)
    print(f"{count} broken directories and {len(CASES) - count} legal ones")


if __name__ == "__main__":
    main()
