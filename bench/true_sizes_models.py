"""Models of true sizes with random weights, for true_sizes: GGUF files of the exact shapes.

Only the standard library: a stretch of random blocks, with scales that give weights of a usual size, is
written over and over. What they answer means nothing; what they cost is what the real ones cost.
"""

import pathlib
import random
import struct

TEXT, ARRAY, U32, I32, F32, BOOL = 8, 9, 4, 5, 6, 7

# Number of the type, values and bytes of a block, and where halves stand: (offset, value).
TYPES = {
    "f32": (0, 1, 4, ()),
    "q2_k": (10, 256, 84, ((80, 1.5e-3), (82, 2.2e-3))),
    "q3_k": (11, 256, 110, ((108, 4e-4),)),
    "q4_k": (12, 256, 144, ((0, 1e-4), (2, 7.5e-4))),
    "q6_k": (14, 256, 210, ((208, 1e-5),)),
}
STRETCH = 4096  # blocks

LLAMA = dict(arch="llama", vocab=32000, context=4096, rope=1e4, kinds={})
SHAPES = {
    "llama-2-7b": LLAMA | dict(layers=32, width=4096, heads=32, kv_heads=32, hidden=11008),
    "llama-2-13b": LLAMA | dict(layers=40, width=5120, heads=40, kv_heads=40, hidden=13824),
    "mistral-7b": LLAMA | dict(layers=32, width=4096, heads=32, kv_heads=8, hidden=14336,
                               context=32768, rope=1e6),
    "phi-2": dict(arch="phi2", vocab=51200, context=2048, rope=1e4, layers=32, width=2560, heads=32,
                  kv_heads=32, hidden=10240, rotated=32, kinds={}),
    # Fits a machine of 24 GB.
    "mixtral-8x7b": LLAMA | dict(layers=32, width=4096, heads=32, kv_heads=8, hidden=14336,
                                 context=32768, rope=1e6, experts=8,
                                 kinds={"ffn_gate_exps": "q2_k", "ffn_up_exps": "q2_k",
                                        "ffn_down_exps": "q3_k"}),
}  # fmt: skip


def tensors(shape):
    """(name, dimensions as GGUF has them, type) of every tensor, in the file's order."""
    width, hidden = shape["width"], shape["hidden"]
    key = width // shape["heads"] * shape["kv_heads"]

    def matrix(name, rows, columns, experts=0):
        short = name.split(".")[-2]
        kind = shape["kinds"].get(short, "q6_k" if short == "output" else "q4_k")
        return name, (columns, rows, experts) if experts else (columns, rows), kind

    yield matrix("token_embd.weight", shape["vocab"], width)
    for layer in range(shape["layers"]):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (width,), "f32"
        for part, rows in (("attn_q", width), ("attn_k", key), ("attn_v", key),
                           ("attn_output", width)):
            yield matrix(f"{block}{part}.weight", rows, width)
            if shape["arch"] == "phi2":
                yield f"{block}{part}.bias", (rows,), "f32"
        if shape["arch"] == "phi2":
            yield block + "attn_norm.bias", (width,), "f32"
            yield matrix(block + "ffn_up.weight", hidden, width)
            yield block + "ffn_up.bias", (hidden,), "f32"
            yield matrix(block + "ffn_down.weight", width, hidden)
            yield block + "ffn_down.bias", (width,), "f32"
            continue
        yield block + "ffn_norm.weight", (width,), "f32"
        experts = shape.get("experts", 0)
        ending = "_exps" if experts else ""
        if experts:
            yield block + "ffn_gate_inp.weight", (width, experts), "f32"
        yield matrix(f"{block}ffn_gate{ending}.weight", hidden, width, experts)
        yield matrix(f"{block}ffn_up{ending}.weight", hidden, width, experts)
        yield matrix(f"{block}ffn_down{ending}.weight", width, hidden, experts)
    yield "output_norm.weight", (width,), "f32"
    if shape["arch"] == "phi2":
        yield "output_norm.bias", (width,), "f32"
        yield "output.bias", (shape["vocab"],), "f32"
    yield matrix("output.weight", shape["vocab"], width)


def vocabulary(shape):
    """Made-up pieces in the form of the family's own vocabulary."""
    count = shape["vocab"]
    if shape["arch"] == "llama":
        pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
        kinds = [2, 3, 3] + [6] * 256
        pieces += [f"▁t{number}" for number in range(count - len(pieces))]
        return "llama", pieces, kinds + [1] * (count - len(kinds)), None
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    pieces = [chr(b) for b in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    pieces += [f"t{number}" for number in range(count - len(pieces) - 1)] + ["<|endoftext|>"]
    return "gpt2", pieces, [1] * (count - 1) + [3], ["t 0", "t 1"]


def metadata(name, shape):
    arch = shape["arch"]
    heads = shape["heads"]
    norm = "layer_norm_epsilon" if arch == "phi2" else "layer_norm_rms_epsilon"
    yield "general.architecture", TEXT, arch
    yield "general.name", TEXT, f"random {name}"
    for key, value in (
        ("context_length", shape["context"]), ("embedding_length", shape["width"]),
        ("block_count", shape["layers"]), ("feed_forward_length", shape["hidden"]),
        ("attention.head_count", heads), ("attention.head_count_kv", shape["kv_heads"]),
        ("rope.dimension_count", shape.get("rotated", shape["width"] // heads)),
        ("vocab_size", shape["vocab"]),
    ):  # fmt: skip
        yield f"{arch}.{key}", U32, value
    if shape.get("experts"):
        yield f"{arch}.expert_count", U32, shape["experts"]
        yield f"{arch}.expert_used_count", U32, 2
    yield f"{arch}.rope.freq_base", F32, shape["rope"]
    yield f"{arch}.attention.{norm}", F32, 1e-5
    model, pieces, kinds, merges = vocabulary(shape)
    yield "tokenizer.ggml.model", TEXT, model
    yield "tokenizer.ggml.tokens", ARRAY, (TEXT, pieces)
    yield "tokenizer.ggml.token_type", ARRAY, (I32, kinds)
    if merges is None:
        yield "tokenizer.ggml.scores", ARRAY, (F32, [-float(i) for i in range(len(pieces))])
    else:
        yield "tokenizer.ggml.pre", TEXT, "gpt-2"
        yield "tokenizer.ggml.merges", ARRAY, (TEXT, merges)
    yield "tokenizer.ggml.bos_token_id", U32, len(pieces) - 1 if merges else 1
    yield "tokenizer.ggml.eos_token_id", U32, len(pieces) - 1 if merges else 2
    yield "tokenizer.ggml.add_bos_token", BOOL, not merges


def pack_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if kind == TEXT:
        return pack_text(value)
    if kind == ARRAY:
        element, values = value
        return struct.pack("<IQ", element, len(values)) + b"".join(
            pack_value(element, each) for each in values)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def size_of(dimensions, kind):
    _, values, size, _ = TYPES[kind]
    count = 1
    for dimension in dimensions:
        count *= dimension
    return count // values * size


def stretch(kind, generator):
    """STRETCH random blocks whose weights have a usual size; f32: ones."""
    _, _, size, halves = TYPES[kind]
    if kind == "f32":
        return struct.pack("<f", 1) * STRETCH
    data = bytearray(generator.randbytes(STRETCH * size))
    for block in range(STRETCH):
        for offset, value in halves:
            struct.pack_into("<e", data, block * size + offset, value)
    return bytes(data)


def write(name, path):
    """Writes the model unless it is there already; returns its size."""
    path = pathlib.Path(path)
    if path.is_file():
        return path.stat().st_size
    shape = SHAPES[name]
    generator = random.Random(20261127)
    filling = {kind: stretch(kind, generator) for kind in TYPES}
    all_tensors = list(tensors(shape))
    keys = list(metadata(name, shape))
    header = b"GGUF" + struct.pack("<Iqq", 3, len(all_tensors), len(keys))
    header += b"".join(pack_text(key) + struct.pack("<I", kind) + pack_value(kind, value)
                       for key, kind, value in keys)
    offset = 0
    for tensor, dimensions, kind in all_tensors:
        header += pack_text(tensor) + struct.pack("<I", len(dimensions))
        header += struct.pack(f"<{len(dimensions)}q", *dimensions)
        header += struct.pack("<IQ", TYPES[kind][0], offset)
        offset += (size_of(dimensions, kind) + 31) // 32 * 32
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        file.write(header + bytes(-len(header) % 32))
        for _, dimensions, kind in all_tensors:
            left = size = size_of(dimensions, kind)
            while left > 0:
                left -= file.write(filling[kind][:left])
            file.write(bytes(-size % 32))
    partial.rename(path)
    return path.stat().st_size
