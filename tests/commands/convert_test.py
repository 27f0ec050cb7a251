"""convert: GGUF files into Hugging Face directories and back, bit for bit."""

import glob
import json
import os
import shutil
import struct

import gguf_file
import program
from program import CORRUPT, EXISTS, NOT_FOUND, UNSUPPORTED, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")
TEXTS = [b"hello hello", " naïve  café\n\n\t½ 日本 😀 1234567".encode(), b"x<|im_end|>y", b"   a\r\n"]


def tensors(path):
    """{name: (encoding, shape, bytes)} of a GGUF file, and {key: (type, raw value)}."""
    with open(path, "rb") as file:
        data = file.read()
    place = 24

    def take(form):
        nonlocal place
        values = struct.unpack_from("<" + form, data, place)
        place += struct.calcsize("<" + form)
        return values[0]

    def text():
        nonlocal place
        size = take("Q")
        place += size
        return data[place - size:place].decode()

    def skip(kind):
        nonlocal place
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [skip(inner) for _ in range(count)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
                     12: "d"}[kind])

    count, keys = struct.unpack_from("<QQ", data, 8)
    metadata = {}
    for _ in range(keys):
        key = text()
        metadata[key] = skip(take("I"))
    found = []
    for _ in range(count):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        found.append((name, shape, take("I"), take("Q")))
    alignment = metadata.get("general.alignment", 32)
    start = (place + alignment - 1) // alignment * alignment
    sizes = {0: (1, 4), 1: (1, 2), 30: (1, 2)}
    result = {}
    for name, shape, kind, offset in found:
        values, size = sizes.get(kind, (1, 0))
        total = size // values
        for dimension in shape:
            total *= dimension
        result[name] = (kind, shape, data[start + offset:start + offset + total])
    return result, metadata


class ConvertTest(program.ProgramTest):
    def round_trip(self, file, *options):
        directory, back = self.path("directory"), self.path("back.gguf")
        shutil.rmtree(directory, ignore_errors=True)
        report = self.json("convert", file, directory, *options)
        self.assertEqual(report["files"], sorted(os.listdir(directory)))
        self.json("convert", directory, back, "--force")
        return report, back

    def test_every_family_comes_back_bit_for_bit(self):
        files = sorted(glob.glob(GOLDEN + "/families/*.gguf")) + [
            f"{GOLDEN}/tiny/{name}.gguf" for name in ("tied_f16", "untied_f32", "window_8")]
        for file in files:
            with self.subTest(os.path.basename(file)):
                report, back = self.round_trip(file)
                self.assertEqual((report["error"], report["decoded"]), (0, []))
                before, _ = tensors(file)
                after, _ = tensors(back)
                self.assertEqual(sorted(before), sorted(after))
                for name, tensor in before.items():
                    if name.startswith("rope_f"):  # computed anew from config.json
                        old = struct.unpack(f"<{len(tensor[2]) // 4}f", tensor[2])
                        new = struct.unpack(f"<{len(tensor[2]) // 4}f", after[name][2])
                        for a, b in zip(old, new):
                            self.assertAlmostEqual(a / b, 1, places=5)
                        continue
                    self.assertEqual(tensor, after[name], name)
                self.assert_same_answers(file, back)

    def assert_same_answers(self, file, back):
        for text in TEXTS:
            for options in ([], ["--special"], ["--bos"]):
                self.assertEqual(self.output("tokenize", file, "--ids", *options, input=text),
                                 self.output("tokenize", back, "--ids", *options, input=text))
        scores = [self.json("complete", model, "hello hello", "--max-tokens", "6", "--echo", "--exact",
                            "--temperature", "0", "--logprobs", "0")["choices"]
                  for model in (file, back)]
        self.assertEqual(*scores)

    def test_what_is_quantised_is_decoded_exactly(self):
        source = GOLDEN + "/tiny/untied_f32.gguf"
        self.malina("quantize", source, "small.gguf", "--to", "q8_0")
        report, back = self.round_trip("small.gguf")
        self.assertIn("q8_0", report["decoded"])
        self.assertEqual(report["error"], 0)
        half, _ = self.round_trip("small.gguf", "--type", "f16")
        self.assertGreater(half["error"], 0)
        self.assertLess(half["error"], 1e-3)
        self.assertLess(half["output_bytes"], report["output_bytes"])
        self.malina("quantize", back, "again.gguf", "--to", "q8_0")
        self.assertEqual(tensors(self.path("small.gguf"))[0].keys(),
                         tensors(self.path("again.gguf"))[0].keys())

    def test_shards(self):
        source = GOLDEN + "/tiny/untied_f32.gguf"
        report, back = self.round_trip(source, "--shard-bytes", "20000")
        self.assertIn("model.safetensors.index.json", report["files"])
        self.assertIn("model-00002-of-", " ".join(report["files"]))
        self.assertEqual(tensors(source)[0], tensors(back)[0])

    def test_chat_templates_and_tokens_go_with_it(self):
        file = gguf_file.write_model(self.path("chat.gguf"))
        self.malina("import", file, "--name", "chat")
        directory = self.path("directory")
        self.malina("convert", "chat", directory)
        with open(directory + "/tokenizer_config.json", encoding="utf-8") as config:
            self.assertEqual(json.load(config)["chat_template"], gguf_file.CHAT_TEMPLATE)
        with open(directory + "/generation_config.json", encoding="utf-8") as config:
            self.assertEqual(json.load(config)["eos_token_id"], 2)
        few = ["hello", "--max-tokens", "4", "--temperature", "0"]
        self.assertEqual(self.output("run", "chat", *few), self.output("run", directory, *few))
        self.assertEqual(self.output("run", directory, *few), self.output("run", directory + "/", *few))

    def sentence_piece(self, name, unknown=True):
        """A model with a vocabulary of scores, and an unused token in its middle."""
        count = len(gguf_file.tokenizer_metadata()[0])
        pieces = ["<unk>" if unknown else "x", "<s>", "</s>", "[PAD3]"] + ["▁", "a", "b", "ab"]
        kinds = [2 if unknown else 1, 3, 3, 5] + [1] * 4
        pieces += [f"<0x{byte:02X}>" for byte in range(256)][:count - len(pieces)]
        kinds += [6] * (len(pieces) - len(kinds))
        metadata = [item for item in gguf_file.model_metadata() if "tokenizer.ggml" not in item[0]] + [
            ("tokenizer.ggml.model", gguf_file.STRING, "llama"),
            ("tokenizer.ggml.tokens", gguf_file.STRING, pieces),
            ("tokenizer.ggml.token_type", gguf_file.I32, kinds),
            ("tokenizer.ggml.scores", gguf_file.F32, [-float(i) for i in range(len(pieces))]),
            ("tokenizer.ggml.bos_token_id", gguf_file.U32, 1),
            ("tokenizer.ggml.eos_token_id", gguf_file.U32, 2)]
        return gguf_file.write(self.path(name), metadata, gguf_file.model_tensors())

    def test_a_vocabulary_of_scores_keeps_its_ids(self):
        file = self.sentence_piece("pieces.gguf")
        report, back = self.round_trip(file)
        self.assertIn("tokenizer.model", report["files"])
        for text in TEXTS + [b"ab ab a b"]:
            self.assertEqual(self.output("tokenize", file, "--ids", "--bos", input=text),
                             self.output("tokenize", back, "--ids", "--bos", input=text))

    def test_a_directory_that_could_not_be_read_again_is_not_written(self):
        file = self.sentence_piece("nothing-unknown.gguf", unknown=False)
        message = self.error(UNSUPPORTED, "convert", file, "x")
        self.assertIn("tokenizer.model", message)
        self.assertNotIn(".part/", message)
        self.assertEqual(os.listdir(self.folder), ["nothing-unknown.gguf"])

    def test_wrong_use(self):
        file = gguf_file.write_model(self.path("a.gguf"))
        self.assertIn("quantize", self.error(USAGE, "convert", file, "b.gguf"))
        os.mkdir(self.path("there"))
        self.assertIn("there", self.error(EXISTS, "convert", file, "there"))
        self.assertIn("none/x", self.error(NOT_FOUND, "convert", file, "none/x"))
        self.error(NOT_FOUND, "convert", "none.gguf", "x")
        self.error(USAGE, "convert", file, "x", "--type", "q8_0")
        gguf_file.write_vocabulary(self.path("words.gguf"))
        self.assertIn("words.gguf", self.error(UNSUPPORTED, "convert", "words.gguf", "x"))
        self.malina("convert", file, "x")
        self.assertIn("folder", self.error(USAGE, "convert", "x", "there"))
        self.malina("convert", "x", "y.gguf")
        self.error(EXISTS, "convert", "x", "y.gguf")
        self.assertIn("--type", self.error(USAGE, "convert", "x", "z.gguf", "--type", "f16"))
        os.truncate(self.path("a.gguf"), os.path.getsize(file) - 64)
        self.error(CORRUPT, "convert", file, "w")
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [])
        self.assertFalse(os.path.exists(self.path("w")))

    def test_a_value_that_is_no_number_leaves_nothing_behind(self):
        def values(name, shape):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            return [0.5] * (count - 1) + [float("inf") if "ffn_down" in name else 0.5]

        file = gguf_file.write_model(self.path("inf.gguf"), values=values)
        message = self.error(CORRUPT, "convert", file, "x")
        self.assertIn("down_proj", message)
        self.assertEqual(sorted(os.listdir(self.folder)), ["inf.gguf"])


if __name__ == "__main__":
    program.main()
