"""A GGUF file taken apart into named fields, so that each can be changed or cut by its name.

Knows the layout of the format and none of its rules: it writes nonsense as readily as sense.
"""

import struct

U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B",
        U64: "<Q", I64: "<q", F64: "<d"}

# Tensor types: number, values of a block, bytes of a block.
TENSOR_F32 = (0, 1, 4)
TENSOR_F16 = (1, 1, 2)
TENSOR_Q4_0 = (2, 32, 18)
TENSOR_Q8_0 = (8, 32, 34)
TENSOR_Q5_1 = (7, 32, 24)
TENSOR_Q4_K = (12, 256, 144)
TENSOR_BF16 = (30, 1, 2)


class Field:
    """`size` bytes at `offset`; `kind` says what they mean, `name` where they stand."""

    def __init__(self, name, kind, offset, data):
        self.name, self.kind, self.offset, self.data = name, kind, offset, data

    @property
    def size(self):
        return len(self.data)


class Gguf:
    """A file as a list of fields. All parts may be overruled by the keyword arguments."""

    def __init__(self, keys, tensors, version=3, magic=b"GGUF", alignment=32, key_count=None,
                 tensor_count=None, pad_end=True, data=None):
        self.fields = []
        self.end = 0
        self.put("magic", "magic", magic)
        self.put("version", "version", struct.pack("<I", version))
        self.put("tensor count", "count",
                 struct.pack("<q", len(tensors) if tensor_count is None else tensor_count))
        self.put("key count", "count",
                 struct.pack("<q", len(keys) if key_count is None else key_count))
        for number, (key, kind, value) in enumerate(keys):
            self.put_key(f"key{number}", key, kind, value)
        self.put_tensors(tensors, alignment)
        self.header_end = self.end
        if tensors:
            self.put_data(tensors, alignment, pad_end, data)

    def put(self, name, kind, data):
        self.fields.append(Field(name, kind, self.end, data))
        self.end += len(data)

    def put_text(self, name, text, kind):
        data = text if isinstance(text, bytes) else text.encode()
        self.put(f"{name} length", f"{kind} length", struct.pack("<Q", len(data)))
        self.put(f"{name} bytes", f"{kind} bytes", data)

    def put_key(self, name, key, kind, value):
        self.put_text(f"{name} name", key, "key")
        self.put(f"{name} type", "value type", struct.pack("<I", kind))
        if kind == ARRAY:
            element, values = value
            self.put(f"{name} element type", "element type", struct.pack("<I", element))
            self.put(f"{name} element count", "element count", struct.pack("<Q", len(values)))
            for number, each in enumerate(values):
                self.put_value(f"{name} element {number}", element, each)
        else:
            self.put_value(f"{name} value", kind, value)

    def put_value(self, name, kind, value):
        if kind == TEXT:
            self.put_text(name, value, "value")
        elif kind == ARRAY:
            self.put(name, "bytes", value)
        else:
            meaning = "boolean" if kind == BOOL else "number"
            self.put(name, meaning, struct.pack(PACK[kind], value))

    def put_tensors(self, tensors, alignment):
        offset = 0
        for number, tensor in enumerate(tensors):
            name, shape, kind = tensor[:3]
            own = tensor[3] if len(tensor) > 3 else {}
            self.put_text(f"tensor{number} name", name, "tensor name")
            self.put(f"tensor{number} dimensions", "dimensions",
                     struct.pack("<I", own.get("dimensions", len(shape))))
            for axis, length in enumerate(shape):
                self.put(f"tensor{number} length {axis}", "length",
                         struct.pack("<Q", length % 2**64))
            self.put(f"tensor{number} type", "tensor type",
                     struct.pack("<I", own.get("type", kind[0])))
            self.put(f"tensor{number} offset", "offset",
                     struct.pack("<Q", own.get("offset", offset) % 2**64))
            offset = round_up(offset + tensor_bytes(shape, kind), alignment)

    def put_data(self, tensors, alignment, pad_end, data):
        self.put("padding", "padding", bytes(round_up(self.end, alignment) - self.end))
        self.data_offset = self.end
        if data is not None:
            self.put("data", "data", data)
            return
        for number, tensor in enumerate(tensors):
            size = tensor_bytes(tensor[1], tensor[2])
            self.put(f"tensor{number} data", "data",
                     bytes((number * 7 + i) % 251 for i in range(size)))
            if pad_end or number + 1 < len(tensors):
                self.put(f"tensor{number} padding", "padding",
                         bytes(round_up(size, alignment) - size))

    def bytes(self):
        return b"".join(field.data for field in self.fields)

    def field(self, name):
        return next(field for field in self.fields if field.name == name)

    def with_field(self, name, data):
        """The file with other bytes in the field, all others where they were."""
        field = self.field(name)
        whole = self.bytes()
        return whole[:field.offset] + data + whole[field.offset + field.size:]

    def with_number(self, name, value):
        field = self.field(name)
        return self.with_field(name, (value % 2**(8 * field.size)).to_bytes(field.size, "little"))


def round_up(value, alignment):
    return -(-value // alignment) * alignment


def tensor_bytes(shape, kind):
    _, values, size = kind
    elements = 1
    for length in shape:
        elements *= length
    return elements // values * size
