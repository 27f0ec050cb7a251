"""Writes GGUF files (version 3) with the standard library alone: models that run, and broken ones."""

import struct

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
ALIGNMENT = 32
TYPE_F32 = 0
BASE_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def entry(key, kind, value):
    if isinstance(value, list):
        head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(value))
        return head + b"".join(scalar(kind, element) for element in value)
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def byte_spellings():
    """GPT-2's printable character for each byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    spelling, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            spelling[byte] = chr(byte)
        else:
            spelling[byte] = chr(256 + extra)
            extra += 1
    return [spelling[byte] for byte in range(256)]


def tokenizer_metadata():
    """Byte-level BPE over all bytes, with a few merges."""
    tokens = BASE_TOKENS + byte_spellings() + ["he", "ll", "hell", "hello", "Ġhello"]
    merges = ["h e", "l l", "he ll", "hell o", "Ġ hello"]
    kinds = [3] * len(BASE_TOKENS) + [1] * (len(tokens) - len(BASE_TOKENS))
    return tokens, [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "gpt-2"),
        ("tokenizer.ggml.tokens", STRING, tokens),
        ("tokenizer.ggml.token_type", I32, kinds),
        ("tokenizer.ggml.merges", STRING, merges),
        ("tokenizer.ggml.bos_token_id", U32, 0),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
    ]


def model_metadata(architecture="llama", hidden=32, layers=1, name="Tiny Test",
                   template=CHAT_TEMPLATE, context=128):
    metadata = [
        ("general.architecture", STRING, architecture),
        ("general.name", STRING, name),
        ("general.license", STRING, "apache-2.0"),
        (f"{architecture}.context_length", U32, context),
        (f"{architecture}.embedding_length", U32, 64),
        (f"{architecture}.block_count", U32, layers),
        (f"{architecture}.feed_forward_length", U32, hidden),
        (f"{architecture}.attention.head_count", U32, 4),
        (f"{architecture}.attention.head_count_kv", U32, 2),
        (f"{architecture}.attention.layer_norm_rms_epsilon", F32, 1e-5),
    ]
    if template is not None:
        metadata.append(("tokenizer.chat_template", STRING, template))
    return metadata + tokenizer_metadata()[1]


def model_tensors(hidden=32, layers=1):
    """(name, shape) of a Llama whose output is tied to the embedding."""
    vocabulary = len(tokenizer_metadata()[0])
    tensors = [("token_embd.weight", [64, vocabulary]), ("output_norm.weight", [64])]
    for layer in range(layers):
        tensors += [(f"blk.{layer}.{name}.weight", shape) for name, shape in (
            ("attn_norm", [64]),
            ("attn_q", [64, 64]),
            ("attn_k", [64, 32]),
            ("attn_v", [64, 32]),
            ("attn_output", [64, 64]),
            ("ffn_norm", [64]),
            ("ffn_gate", [64, hidden]),
            ("ffn_up", [64, hidden]),
            ("ffn_down", [hidden, 64]),
        )]
    return tensors


def tensor_bytes(shape):
    count = 4
    for dimension in shape:
        count *= dimension
    return count


def padded(size):
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


def write(path, metadata, tensors, values=None):
    """`values(name, shape)` gives a tensor's floats. Without it all weights are zero; the data is a hole
    in the file, so that a large model costs no space."""
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    header += b"".join(entry(*item) for item in metadata)
    offset = 0
    for name, shape in tensors:
        header += text(name) + struct.pack("<I", len(shape))
        header += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", TYPE_F32, offset)
        offset += padded(tensor_bytes(shape))
    with open(path, "wb") as file:
        file.write(header)
        if tensors:
            file.write(bytes(padded(len(header)) - len(header)))
            for name, shape in tensors if values else []:
                numbers = values(name, shape)
                file.write(struct.pack(f"<{len(numbers)}f", *numbers))
                file.write(bytes(padded(file.tell()) - file.tell()))
            file.truncate(padded(len(header)) + offset)
    return path


def write_model(path, hidden=32, layers=1, values=None, **metadata):
    return write(path, model_metadata(hidden=hidden, layers=layers, **metadata),
                 model_tensors(hidden, layers), values)


def write_vocabulary(path):
    return write(path, tokenizer_metadata()[1], [])


def write_split_model(folder, stem, parts=3):
    """The parts of one model; returns their paths."""
    tensors = model_tensors()
    paths = []
    for part in range(parts):
        metadata = model_metadata() if part == 0 else []
        metadata = metadata + [
            ("split.no", U32, part),
            ("split.count", U32, parts),
            ("split.tensors.count", I32, len(tensors)),
        ]
        path = f"{folder}/{stem}-{part + 1:05}-of-{parts:05}.gguf"
        paths.append(write(path, metadata, tensors[part::parts]))
    return paths


class Reader:
    """A file that is known to be whole: `metadata` by key (arrays as lists), `types` of its values, and
    `tensors` by name: (shape, ggml type, offset in the file)."""

    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.position = 0
        _, version, tensors, keys = self.take("4sIQQ")
        assert version == 3
        self.metadata, self.types, self.tensors = {}, {}, {}
        for _ in range(keys):
            key = self.text()
            self.types[key] = self.take("I")[0]
            self.metadata[key] = self.value(self.types[key])
        for _ in range(tensors):
            name = self.text()
            shape = list(self.take(f"{self.take('I')[0]}Q"))
            self.tensors[name] = (shape, *self.take("IQ"))
        start = padded(self.position)
        self.tensors = {name: (shape, kind, start + offset)
                        for name, (shape, kind, offset) in self.tensors.items()}

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values

    def text(self):
        return self.take(f"{self.take('Q')[0]}s")[0].decode()

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            element, count = self.take("IQ")
            return [self.value(element) for _ in range(count)]
        return self.take(self.SCALARS[kind])[0]

    def floats(self, name):
        shape, kind, offset = self.tensors[name]
        assert kind == TYPE_F32
        return struct.unpack_from(f"<{tensor_bytes(shape) // 4}f", self.data, offset)
