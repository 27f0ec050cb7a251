"""malina quantize as a user meets it, on tiny models with random weights."""

import math
import os
import random

import gguf_file
import program
from program import CORRUPT, EXISTS, NOT_FOUND, UNSUPPORTED, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10,
         "q3_k": 11, "q4_k": 12, "q5_k": 13, "q6_k": 14, "bf16": 30}
FILE_TYPES = {"f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q8_0": 7, "q2_k": 10, "q3_k": 11,
              "q4_k": 14, "q5_k": 16, "q6_k": 18, "bf16": 32}
# Of weights with a normal distribution: the root mean square of the difference, relative.
ERRORS = {"f16": (0, 0.0005), "bf16": (0.0005, 0.003), "q8_0": (0.002, 0.007), "q4_0": (0.05, 0.11),
          "q4_1": (0.05, 0.10), "q5_0": (0.02, 0.05), "q5_1": (0.02, 0.04), "q2_k": (0.2, 0.30),
          "q3_k": (0.1, 0.16), "q4_k": (0.05, 0.08), "q5_k": (0.02, 0.04), "q6_k": (0.01, 0.02)}


def normal(name, shape):
    generator = random.Random(name)
    return [generator.gauss(0, 0.1) for _ in range(math.prod(shape))]


def broken(tensor, index, value):
    """The same with one value replaced."""
    def values(name, shape):
        numbers = normal(name, shape)
        if name == tensor:
            numbers[index] = value
        return numbers
    return values


class QuantizeTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = gguf_file.write_model(self.path("tiny.gguf"), hidden=256, values=normal)

    def quantize(self, encoding, *arguments, model=None, **options):
        return self.json("quantize", model or self.model, "out.gguf", "--to", encoding, "--force",
                         *arguments, **options)

    def test_every_encoding_within_its_error_and_of_its_type(self):
        for encoding in ERRORS:
            report = self.quantize(encoding)
            written = gguf_file.Reader(self.path("out.gguf"))
            self.assertEqual(written.metadata["general.file_type"], FILE_TYPES[encoding])
            self.assertEqual(written.metadata["general.quantization_version"], 2)
            for tensor in report["tensors"]:
                shape, kind, _ = written.tensors[tensor["name"]]
                self.assertEqual(kind, TYPES[tensor["to"]])
                if len(shape) == 1:
                    self.assertEqual((tensor["to"], tensor["error"]), ("f32", 0))
                else:
                    least, most = ERRORS[tensor["to"]]
                    self.assertTrue(least <= tensor["error"] <= most, f"{encoding}: {tensor}")
            self.assertEqual(report["output_bytes"], os.path.getsize(self.path("out.gguf")))
            self.assertEqual(report["quantized_before"], [])
            self.output("complete", "out.gguf", "hello", "--max-tokens", "2")

    def test_metadata_and_vectors_are_copied(self):
        self.quantize("q8_0")
        before, after = gguf_file.Reader(self.model), gguf_file.Reader(self.path("out.gguf"))
        added = {"general.file_type", "general.quantization_version"}
        self.assertEqual({k: v for k, v in after.metadata.items() if k not in added}, before.metadata)
        self.assertEqual({k: t for k, t in after.types.items() if k not in added}, before.types)
        self.assertEqual(list(after.tensors), list(before.tensors))
        self.assertEqual(after.floats("output_norm.weight"), before.floats("output_norm.weight"))

    def test_the_tied_embedding_is_the_output_matrix(self):
        tensors = {t["name"]: t for t in self.quantize("q4_0")["tensors"]}
        self.assertEqual(tensors["token_embd.weight"]["to"], "q8_0")
        self.assertIn("output matrix", tensors["token_embd.weight"]["reason"])
        self.assertIn("rows of 64", tensors["token_embd.weight"]["reason"])
        self.assertEqual(tensors["blk.0.attn_q.weight"]["to"], "q4_0")
        self.assertIsNone(tensors["blk.0.attn_q.weight"]["reason"])
        text = self.output("quantize", self.model, "out.gguf", "--to", "q4_0", "--force")
        self.assertIn("1 tensor in q8_0 (output matrix, rows of 64 are not blocks of 256)", text)

    def test_rows_that_are_no_blocks_of_256_get_an_encoding_with_blocks_of_32(self):
        for encoding, instead in (("q2_k", "q4_0"), ("q3_k", "q4_0"), ("q4_k", "q5_0"),
                                  ("q5_k", "q5_1"), ("q6_k", "q8_0")):
            tensors = {t["name"]: t for t in self.quantize(encoding)["tensors"]}
            self.assertEqual(tensors["blk.0.attn_q.weight"]["to"], instead)
            self.assertEqual(tensors["blk.0.attn_q.weight"]["reason"],
                             "rows of 64 are not blocks of 256")
            self.assertEqual(tensors["blk.0.ffn_down.weight"]["to"],
                             "q3_k" if encoding == "q2_k" else encoding)
            self.assertEqual(tensors["token_embd.weight"]["to"], "q8_0")

    def test_experts_are_quantised_and_their_router_is_not(self):
        report = self.quantize("q8_0", model=os.path.join(GOLDEN, "families/mixtral.gguf"))
        tensors = {t["name"]: t for t in report["tensors"]}
        self.assertEqual(tensors["blk.0.ffn_gate_exps.weight"]["to"], "q8_0")
        self.assertEqual(tensors["blk.0.ffn_gate_inp.weight"]["to"], "f32")
        self.assertEqual(tensors["blk.0.ffn_down_exps.weight"]["to"], "f16")
        self.assertIn("rows of 48", tensors["blk.0.ffn_down_exps.weight"]["reason"])
        self.output("complete", "out.gguf", "hello", "--max-tokens", "2")

    def test_threads_do_not_change_the_file(self):
        for encoding in ("q4_0", "q2_k", "q4_k"):
            files = []
            for threads in ("1", "3"):
                self.quantize(encoding, "--threads", threads)
                with open(self.path("out.gguf"), "rb") as file:
                    files.append(file.read())
            self.assertEqual(files[0], files[1])

    def test_instruction_sets_do_not_change_the_file(self):
        files = []
        for environment in ({}, {"MALINA_ISA": "baseline"}):
            self.quantize("q3_k", environment=self.environment(**environment))
            with open(self.path("out.gguf"), "rb") as file:
                files.append(file.read())
        self.assertEqual(files[0], files[1])

    def test_values_that_are_none_in_blocks_of_256(self):
        for encoding in ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k"):
            for value, code in ((math.nan, CORRUPT), (math.inf, CORRUPT), (1e30, UNSUPPORTED)):
                gguf_file.write_model(self.path("bad.gguf"), hidden=256,
                                      values=broken("blk.0.ffn_down.weight", 700, value))
                self.assertIn("blk.0.ffn_down.weight holds", self.error(
                    code, "quantize", "bad.gguf", "bad-out.gguf", "--to", encoding))

    def test_what_is_in_the_encoding_already_is_kept_as_it_is(self):
        self.quantize("q4_0")
        os.rename(self.path("out.gguf"), self.path("first.gguf"))
        again = self.quantize("q4_0", model="first.gguf")
        self.assertEqual((again["error"], again["quantized_before"]), (0, []))
        with open(self.path("first.gguf"), "rb") as one, open(self.path("out.gguf"), "rb") as other:
            self.assertEqual(one.read(), other.read())
        self.assertEqual(self.quantize("f16", model="first.gguf")["quantized_before"],
                         ["q8_0", "q4_0"])
        self.assertIn("quantised before (q8_0, q4_0)", self.output(
            "quantize", "first.gguf", "out.gguf", "--to", "f16", "--force"))

    def test_any_encoding_that_can_be_read(self):
        for name in ("k_types", "mxfp4", "iq4_nl", "tied_bf16"):
            report = self.quantize("q8_0", model=os.path.join(GOLDEN, f"tiny/{name}.gguf"))
            self.assertLess(report["error"], 0.01, name)
            self.output("complete", "out.gguf", "hello", "--max-tokens", "2")

    def test_a_split_model_becomes_one_file(self):
        parts = gguf_file.write_split_model(self.folder, "split")
        self.quantize("q8_0", model=parts[1])
        written = gguf_file.Reader(self.path("out.gguf"))
        self.assertEqual(len(written.tensors), len(gguf_file.model_tensors()))
        self.assertFalse([key for key in written.metadata if key.startswith("split.")])

    def test_a_model_of_the_store(self):
        self.malina("import", self.model, "--name", "stored")
        self.assertEqual(self.quantize("q8_0", model="stored")["model"], "stored")

    def test_values_that_are_none_are_named(self):
        for value, word in ((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")):
            gguf_file.write_model(self.path("bad.gguf"), hidden=256,
                                  values=broken("blk.0.ffn_up.weight", 1300, value))
            message = self.error(CORRUPT, "quantize", "bad.gguf", "bad-q4_0.gguf", "--to", "q4_0")
            self.assertIn(f"blk.0.ffn_up.weight holds {word} at index 1300 (row 20, column 20)",
                          message)
        gguf_file.write_model(self.path("bad.gguf"), hidden=256,
                              values=broken("output_norm.weight", 3, math.nan))
        self.assertIn("output_norm.weight holds nan at index 3",
                      self.error(CORRUPT, "quantize", "bad.gguf", "bad-q4_0.gguf", "--to", "q4_0"))
        for encoding in ("f16", "q4_0", "q8_0", "q5_0", "q5_1"):
            gguf_file.write_model(self.path("bad.gguf"), hidden=256,
                                  values=broken("blk.0.ffn_up.weight", 7, 1e30))
            self.assertRegex(
                self.error(UNSUPPORTED, "quantize", "bad.gguf", "bad-out.gguf", "--to", encoding),
                f"ffn_up.weight holds 1e[+]30 at index 7 .*beyond what {encoding} can hold")
        self.quantize("bf16", model="bad.gguf")
        self.assertEqual(sorted(os.listdir(self.folder)), ["bad.gguf", "out.gguf", "tiny.gguf"])

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def test_a_calibration_changes_bytes_and_not_their_number(self):
        self.write("book.txt", "hello hell, he said. " * 60)
        for encoding in ("q2_k", "q4_0", "q4_1", "q5_0", "q6_k"):
            plain = self.quantize(encoding)
            os.rename(self.path("out.gguf"), self.path("plain.gguf"))
            found = self.quantize(encoding, "--calibrate", "book.txt")
            self.assertEqual(plain["calibration_tokens"], 0)
            self.assertGreater(found["calibration_tokens"], 400)
            in_q8_0 = sum(t["to"] == "q8_0" for t in found["tensors"])  # where it has no say
            self.assertEqual(found["calibrated_tensors"], 8 - in_q8_0)
            one, other = (gguf_file.Reader(self.path(name)) for name in ("plain.gguf", "out.gguf"))
            self.assertEqual({n: t[:2] for n, t in one.tensors.items()},
                             {n: t[:2] for n, t in other.tensors.items()})
            self.assertNotEqual(one.data[-1000:], other.data[-1000:])
            added = {k: v for k, v in other.metadata.items() if k not in one.metadata}
            self.assertEqual(added, {
                "quantize.imatrix.dataset": "book.txt", "quantize.imatrix.entries_count": 8,
                "quantize.imatrix.chunks_count": math.ceil(found["calibration_tokens"] / 128)})
            self.output("complete", "out.gguf", "hello", "--max-tokens", "2")
        text = self.output("quantize", self.model, "out.gguf", "--to", "q4_0", "--force",
                           "--calibrate", "book.txt")
        self.assertIn("7 tensors by importance", text)

    def test_a_calibration_is_the_same_for_any_number_of_threads(self):
        self.write("book.txt", "hello hell, he said. " * 60)
        files = []
        for threads in ("1", "3"):
            self.quantize("q3_k", "--threads", threads, "--calibrate", "book.txt",
                          model=os.path.join(GOLDEN, "families/mixtral.gguf"))
            with open(self.path("out.gguf"), "rb") as file:
                files.append(file.read())
        self.assertEqual(files[0], files[1])

    def test_a_calibration_that_makes_no_sense(self):
        self.write("empty.txt", "")
        self.write("book.txt", "hello")
        arguments = ("quantize", self.model, "x.gguf", "--to")
        self.assertIn("empty.txt: has no text",
                      self.error(USAGE, *arguments, "q4_0", "--calibrate", "empty.txt"))
        self.error(NOT_FOUND, *arguments, "q4_0", "--calibrate", "none.txt")
        for encoding in ("f16", "bf16", "q8_0"):
            self.assertIn("calibration", self.error(USAGE, *arguments, encoding, "--calibrate",
                                                    "book.txt"))
        gguf_file.write_model(self.path("bad.gguf"), hidden=256,
                              values=broken("blk.0.ffn_up.weight", 1300, math.nan))
        self.assertIn("finite", self.error(CORRUPT, "quantize", "bad.gguf", "x.gguf", "--to", "q4_0",
                                           "--calibrate", "book.txt"))
        self.assertEqual([name for name in os.listdir(self.folder) if "x.gguf" in name], [])

    def test_nothing_is_overwritten_unasked(self):
        self.quantize("q8_0")
        with open(self.path("out.gguf"), "rb") as file:
            before = file.read()
        self.assertIn("--force", self.error(EXISTS, "quantize", self.model, "out.gguf", "--to", "q4_0"))
        with open(self.path("out.gguf"), "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertIn("is the model", self.error(USAGE, "quantize", self.model, "./tiny.gguf", "--to",
                                                 "q4_0", "--force"))
        os.mkdir(self.path("folder"))
        self.error(USAGE, "quantize", self.model, "folder", "--to", "q4_0", "--force")

    def test_wrong_use(self):
        self.assertIn("q4_0", self.error(USAGE, "quantize", self.model, "x.gguf", "--to", "q9_9"))
        self.error(USAGE, "quantize", self.model, "x.gguf")
        self.error(USAGE, "quantize", self.model, "--to", "q4_0")
        self.error(USAGE, "quantize", self.model, "x.gguf", "--to", "q4_0", "--threads", "0")
        self.error(NOT_FOUND, "quantize", "none", "x.gguf", "--to", "q4_0")
        self.error(NOT_FOUND, "quantize", self.model, "no/folder/x.gguf", "--to", "q4_0")
        gguf_file.write_vocabulary(self.path("words.gguf"))
        self.assertIn("vocabulary", self.error(UNSUPPORTED, "quantize", "words.gguf", "x.gguf", "--to",
                                               "q4_0"))
        gguf_file.write_model(self.path("other.gguf"), architecture="mamba")
        self.assertIn("mamba", self.error(UNSUPPORTED, "quantize", "other.gguf", "x.gguf", "--to",
                                          "q4_0"))
        self.assertEqual([name for name in os.listdir(self.folder) if "x.gguf" in name], [])

    def test_a_file_that_was_cut_short(self):
        with open(self.model, "ab") as file:
            file.truncate(os.path.getsize(self.model) - 4096)
        message = self.error(CORRUPT, "quantize", self.model, "x.gguf", "--to", "q4_0")
        self.assertIn("missing", message)


if __name__ == "__main__":
    program.main()
