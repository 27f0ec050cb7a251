"""tokenize: ids and pieces of a text, and back, byte for byte."""

import os

import gguf_file
import program
from program import CORRUPT, NOT_FOUND, USAGE

HELLO = 262  # the last but one token of gguf_file's vocabulary; " hello" is the last


class TokenizeTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.vocabulary = gguf_file.write_vocabulary(self.path("words.gguf"))

    def ids(self, *arguments, **options):
        return self.output("tokenize", self.vocabulary, "--ids", *arguments, **options)

    def test_ids_and_pieces(self):
        self.assertEqual(self.output("tokenize", self.vocabulary, "hello hello"),
                         f"     {HELLO}  hello\n     {HELLO + 1}  Ġhello\n")
        self.assertEqual(self.ids("hello hello"), f"{HELLO} {HELLO + 1}\n")
        self.assertEqual(self.ids(""), "\n")
        self.assertEqual(self.output("tokenize", self.vocabulary, ""), "")

    def test_standard_input_is_one_text_verbatim(self):
        newline = self.ids("\n").strip()
        self.assertEqual(self.ids(input=b"hello\nhello\n"),
                         f"{HELLO} {newline} {HELLO} {newline}\n")
        self.assertEqual(self.ids(input=b""), "\n")

    def test_lines(self):
        lines = f"{HELLO}\n\n{HELLO}\n"
        self.assertEqual(self.ids("--lines", input=b"hello\n\nhello"), lines)
        self.assertEqual(self.ids("--lines", input=b"hello\n\nhello\n"), lines)
        self.assertEqual(self.ids("--lines", input=b""), "")
        carriage_return = self.ids("\r").strip()
        self.assertEqual(self.ids("--lines", input=b"hello\r\n"), f"{HELLO} {carriage_return}\n")

    def test_bos_and_special_only_where_asked_for(self):
        self.assertEqual(self.ids("hello", "--bos"), f"0 {HELLO}\n")
        self.assertEqual(self.ids("<|im_end|>", "--special"), "2\n")
        self.assertNotIn("2", self.ids("<|im_end|>").split())

    def test_decoding_gives_the_bytes_back(self):
        for text in (b"", b"hello", b" two  spaces ", b"\x00\xff\xfe\r\n", bytes(range(256)),
                     "Grüße, 世界 🙂".encode(), os.urandom(5000)):
            ids = self.malina("tokenize", self.vocabulary, "--ids", input=text).stdout
            back = self.malina("tokenize", self.vocabulary, "--decode", input=ids).stdout
            self.assertEqual(back, text)
        self.assertEqual(self.output("tokenize", self.vocabulary, "--decode", f"{HELLO},{HELLO + 1}"),
                         "hello hello")
        lines = self.output("tokenize", self.vocabulary, "--decode", "--lines", input=b"262\n\n263\n")
        self.assertEqual(lines, "hello\n\n hello\n")

    def test_special_tokens_are_decoded_only_where_asked_for(self):
        self.assertEqual(self.output("tokenize", self.vocabulary, "--decode", f"0 {HELLO} 2"), "hello")
        self.assertEqual(
            self.output("tokenize", self.vocabulary, "--decode", "--special", f"0 {HELLO} 2"),
            "<|endoftext|>hello<|im_end|>")

    def test_pieces_cannot_move_the_cursor(self):
        output = self.output("tokenize", self.vocabulary, input=b"\x1b[2J\n")
        self.assertTrue(all(c.isprintable() or c == "\n" for c in output), output)

    def test_wrong_ids(self):
        for ids in ("x", "1 2x", "1.5", "99999999999999999999"):
            self.assertIn("is not a token id",
                          self.error(USAGE, "tokenize", self.vocabulary, "--decode", ids))
        for ids in ("264", "-1", "2147483647"):
            self.assertIn("not in the vocabulary",
                          self.error(USAGE, "tokenize", self.vocabulary, "--decode", "--", ids))

    def test_wrong_use(self):
        self.assertIn("MODEL", self.error(USAGE, "tokenize"))
        self.error(USAGE, "tokenize", self.vocabulary, "a", "b")
        self.error(USAGE, "tokenize", self.vocabulary, "--decode", "--ids", "1")
        self.assertIn("put --", self.error(USAGE, "tokenize", self.vocabulary, "-x"))
        self.assertNotEqual(self.ids("--", "-x"), "\n")
        self.error(NOT_FOUND, "tokenize", "./none.gguf", "x")
        self.error(NOT_FOUND, "tokenize", "none", "x")
        with open(self.path("other.gguf"), "w") as file:
            file.write("something else entirely, and long enough for a header")
        self.error(CORRUPT, "tokenize", "other.gguf", "x")

    def test_a_name_a_path_and_a_file_in_this_folder(self):
        self.malina("import", self.vocabulary, "--name", "known")
        for model in ("known", "words.gguf", "./words.gguf", self.vocabulary):
            self.assertEqual(self.output("tokenize", model, "--ids", "hello"), f"{HELLO}\n")


if __name__ == "__main__":
    program.main()
