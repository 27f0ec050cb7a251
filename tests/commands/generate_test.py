"""run, complete and perplexity as a user meets them, on a tiny model with random weights."""

import os
import resource
import signal
import subprocess
import time

import gguf_file
import program
from program import NOT_FOUND, UNSUPPORTED, USAGE

TINY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tiny/untied_f32.gguf")
OUT_OF_MEMORY = 8


class CompleteTest(program.ProgramTest):
    def complete(self, *arguments, **options):
        return self.json("complete", TINY, *arguments, **options)

    def test_text_tokens_and_standard_input_are_the_same(self):
        ids = self.output("tokenize", TINY, "--ids", "one two").strip()
        few = ["--max-tokens", "5", "--temperature", "0", "--echo"]
        answers = [self.complete("one two", *few), self.complete("--tokens", ids, *few),
                   self.complete(*few, input=b"one two")]
        self.assertEqual(len({answer["choices"][0]["text"] for answer in answers}), 1)
        self.assertEqual(answers[0]["choices"][0]["token_ids"][:len(ids.split())],
                         [int(i) for i in ids.split()])
        self.assertEqual(answers[0]["usage"]["prompt_tokens"], len(ids.split()))
        plain = self.output("complete", TINY, "one two", *few)
        self.assertEqual(plain, answers[0]["choices"][0]["text"] + "\n")

    def test_scores(self):
        choice = self.complete("one two", "--echo", "--logprobs", "3", "--max-tokens", "0")["choices"][0]
        self.assertEqual(choice["text"], "one two")
        self.assertEqual(choice["finish_reason"], "length")
        scores = choice["logprobs"]
        self.assertEqual("".join(scores["tokens"]), "one two")
        self.assertIsNone(scores["token_logprobs"][0])
        self.assertIsNone(scores["top_logprobs"][0])
        offset = 0
        for token, start in zip(scores["tokens"], scores["text_offset"]):
            self.assertEqual(start, offset)
            offset += len(token)
        for token, value, top in list(zip(scores["tokens"], scores["token_logprobs"],
                                          scores["top_logprobs"]))[1:]:
            self.assertLess(value, 0)
            self.assertEqual(top[token], value, "the same number in every list")
            self.assertIn(len(top), (3, 4))

    def test_a_seed_gives_the_same_answer_again(self):
        options = ["hello", "--max-tokens", "20", "--temperature", "2"]
        first = self.complete(*options, "--seed", "7")["choices"]
        self.assertEqual(first, self.complete(*options, "--seed", "7", "--threads", "1")["choices"])
        unseeded = self.complete(*options)
        again = self.complete(*options, "--seed", str(unseeded["seed"]))
        self.assertEqual(again["choices"], unseeded["choices"])

    def test_an_option_that_may_be_repeated_takes_one_value_each_time(self):
        self.assertEqual(self.output("complete", "--stop", "a", "--stop", "b", TINY, "one", "--echo",
                                     "--max-tokens", "0"), "one\n")

    def test_nothing_is_cut_off_silently(self):
        message = self.error(USAGE, "complete", TINY, "x" * 4000, "--context", "32")
        self.assertRegex(message, "context|tokens")

    def test_wrong_use(self):
        for arguments in (["--tokens", "1 x"], ["--tokens", "999999"], ["--tokens", "-1"], [""],
                          ["x", "--tokens", "1"], ["x", "--temperature", "-1"],
                          ["x", "--top-p", "2"], ["x", "--logprobs", "21"], ["x", "--kv", "f64"],
                          ["x", "--context", "0"], ["x", "--threads", "0"],
                          ["x", "--max-tokens", "-1"], ["x", "--logit-bias", "1"]):
            self.error(USAGE, "complete", TINY, *arguments)
        self.error(NOT_FOUND, "complete", "none", "x")
        gguf_file.write_vocabulary(self.path("words.gguf"))
        self.assertIn("words.gguf", self.error(UNSUPPORTED, "complete", "words.gguf", "x"))

    def test_numbers_are_taken_as_they_are_written_or_refused(self):
        for option, value in (("--seed", "-1"), ("--seed", str(2 ** 64)), ("--max-tokens", "-1"),
                              ("--context", "0"), ("--context", str(2 ** 64 - 1)),
                              ("--context", "abc"), ("--temperature", "nan"),
                              ("--temperature", "warm"), ("--threads", "1025")):
            message = self.error(USAGE, "complete", TINY, "x", option, value)
            self.assertIn(f"{option}: '{value}' is not a", message)
            self.assertLess(len(message), 150)
        self.output("complete", TINY, "x", "--max-tokens", "1", "--seed", str(2 ** 64 - 1))

    def test_a_temperature_next_to_nothing_is_as_none(self):
        few = ["hello", "--max-tokens", "8", "--temperature"]
        greedy = self.output("complete", TINY, *few, "0")
        for temperature in ("1e-3", "1e-37", "1e-44"):
            self.assertEqual(self.output("complete", TINY, *few, temperature), greedy)

    def test_offsets_where_the_text_is_no_utf8(self):
        choice = self.complete("--max-tokens", "0", "--echo", "--logprobs", "0",
                               input=b"a\x80b\xe2\x82c")["choices"][0]
        self.assertEqual(choice["text"], "a\ufffdb\ufffd\ufffdc")
        self.assertEqual(choice["logprobs"]["text_offset"], list(range(6)))
        cut = self.complete("--max-tokens", "0", "--echo", input=b"a\xe2\x82")["choices"][0]
        self.assertEqual(cut["text"], "a\ufffd\ufffd", "what the prompt leaves unfinished is shown")

    def test_weights_that_are_not_numbers(self):
        def values(name, shape):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            return [0.01 * (i % 7) for i in range(count - 1)] + [
                float("nan") if name == "blk.0.ffn_norm.weight" else 0.5]

        file = gguf_file.write_model(self.path("nan.gguf"), values=values)
        for options in (["--temperature", "0"], ["--top-k", "5"], ["--min-p", "0.1"],
                        ["--top-p", "0.9", "--sampling-order", "llama"],
                        ["--echo", "--logprobs", "1"]):
            self.assertIn("not numbers", self.error(program.CORRUPT, "complete", file, "he he",
                                                     "--max-tokens", "4", *options))
        with open(self.path("text"), "wb") as text:
            text.write(b"hello hello")
        self.assertIn("not numbers", self.error(program.CORRUPT, "perplexity", file, "text"))

    def test_threads_that_cannot_be_started(self):
        limit = 1 << 30  # of address space: room for the model, and not for the threads' stacks
        message = self.error(OUT_OF_MEMORY, "complete", TINY, "x", "--threads", "500",
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertRegex(message, r"cannot start more than \d+ of 500 threads")

    def test_filling_in(self):
        with open(self.path("before"), "w", encoding="ascii") as file:
            file.write("hello")
        message = self.error(UNSUPPORTED, "complete", TINY, "--prefix", "before")
        self.assertIn("no tokens for it", message)
        self.assertIn("none", self.error(NOT_FOUND, "complete", TINY, "--prefix", "none"))
        for arguments in (["x", "--suffix", "before"], ["--tokens", "1", "--prefix", "before"],
                          ["x", "--suffix-first"], ["--prefix", "-", "--suffix", "-"],
                          ["--prefix", "before", "--special"]):
            self.error(USAGE, "complete", TINY, *arguments)

    def test_a_context_beyond_all_memory(self):
        self.assertIn("available", self.error(OUT_OF_MEMORY, "complete", TINY, "x", "--context",
                                              "1000000000"))

    def test_a_model_larger_than_the_memory(self):
        """A hole in a file costs no space, and is refused before a weight is read."""
        memory = self.json("info")["memory"]["total_bytes"]  # what is free changes meanwhile
        layers = memory // 800_000_000 + 2
        file = gguf_file.write_model(self.path("vast.gguf"), hidden=1_000_000, layers=layers)
        started = time.monotonic()
        message = self.error(OUT_OF_MEMORY, "complete", file, "x")
        self.assertRegex(message, r"the model needs [\d,.]+ \w+ of memory and [\d,.]+ \w+ are available")
        self.assertLess(time.monotonic() - started, 60)
        self.assertIn("does NOT fit", self.output("inspect", file, "--no-digest"))


class RunTest(program.ProgramTest):
    few = ["--max-tokens", "8", "--temperature", "0"]

    def test_one_question_from_the_arguments_or_a_pipe(self):
        answer = self.output("run", TINY, "hello", *self.few)
        self.assertEqual(answer, self.output("run", TINY, *self.few, input=b"hello"))
        report = self.json("run", TINY, "hello", *self.few)
        self.assertEqual(report["choices"][0]["message"]["content"] + "\n", answer)
        other = self.json("run", TINY, "hello", "--system", "Be brief.", *self.few)
        self.assertGreater(other["usage"]["prompt_tokens"], report["usage"]["prompt_tokens"])

    def test_a_question_cannot_spell_a_special_token(self):
        plain = self.json("run", TINY, "a", *self.few)["usage"]["prompt_tokens"]
        spelled = self.json("run", TINY, "a<|im_end|>", *self.few)["usage"]["prompt_tokens"]
        self.assertGreaterEqual(spelled, plain + len("<|im_end|>") // 2, "its characters, one by one")

    def test_a_model_without_a_chat_template(self):
        file = gguf_file.write_model(self.path("plain.gguf"), template=None)
        self.assertIn("template", self.error(UNSUPPORTED, "run", file, "hello"))

    def test_a_question_that_is_no_utf8_is_named(self):
        self.assertIn("the user message is not valid UTF-8: its byte 4 is 0xe9",
                      self.error(USAGE, "run", TINY, input=b"caf\xe9"))
        self.assertIn("the system message", self.error(USAGE, "run", TINY, "x", "--system", "\udcff"))

    def test_a_template_that_cannot_be_rendered_hinders_nothing_else(self):
        file = gguf_file.write_model(self.path("odd.gguf"), template="a\n{{ messages | frobnicate }}")
        self.assertIn("frobnicate", self.error(UNSUPPORTED, "run", file, "hello"))
        self.assertIn("frobnicate", self.json("inspect", file)["templates"][0]["refused"])
        self.assertIn("frobnicate", self.output("inspect", file))
        self.output("tokenize", file, "hello")
        self.output("complete", file, "hello", "--max-tokens", "1")
        with open(self.path("good.jinja"), "w", encoding="utf-8") as template:
            template.write(gguf_file.CHAT_TEMPLATE)
        self.output("run", file, "hello", "--template", "good.jinja", *self.few)

    def test_a_template_that_refuses(self):
        file = gguf_file.write_model(
            self.path("strict.gguf"), template="{{ raise_exception('only questions about tea') }}")
        self.assertIn("only questions about tea", self.error(USAGE, "run", file, "hello"))

    def test_interrupting_an_answer(self):
        process = subprocess.Popen(
            [program.PROGRAM, "run", TINY, "hello", "--max-tokens", "0", "--logit-bias", "2=-100",
             "--logit-bias", "0=-100"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.environment())
        time.sleep(0.2)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, program.CANCELLED, -signal.SIGINT))
        self.assertNotIn(b"defect", error)


class PerplexityTest(program.ProgramTest):
    def test_windows(self):
        with open(self.path("text"), "wb") as file:
            file.write(bytes(range(32, 127)) * 8)
        tokens = len(self.output("tokenize", TINY, "--ids", input=bytes(range(32, 127)) * 8).split())
        report = self.json("perplexity", TINY, "text")
        window = min(512, self.json("inspect", TINY)["sizes"]["context"])
        self.assertEqual(report["tokens"], tokens)
        self.assertEqual(report["windows"], -(-tokens // window))
        self.assertEqual(report["scored"], tokens - report["windows"])
        self.assertGreater(report["perplexity"], 1)
        exact = self.json("perplexity", TINY, "text", "--exact")
        self.assertAlmostEqual(report["perplexity"] / exact["perplexity"], 1, delta=0.05)

    def test_a_window_with_room_for_nothing_but_the_bos(self):
        metadata = [(key, kind, True if key.endswith("add_bos_token") else value)
                    for key, kind, value in gguf_file.model_metadata()]
        file = gguf_file.write(self.path("bos.gguf"), metadata, gguf_file.model_tensors())
        with open(self.path("text"), "wb") as text:
            text.write(b"hello " * 20)
        self.assertIn("a context of 1 is too short",
                      self.error(USAGE, "perplexity", file, "text", "--context", "1"))
        self.assertEqual(self.json("perplexity", file, "text", "--context", "2")["scored"],
                         len(self.output("tokenize", file, "--ids", input=b"hello " * 20).split()))

    def test_wrong_use(self):
        self.error(NOT_FOUND, "perplexity", TINY, "none")
        self.error(USAGE, "perplexity", TINY, self.folder)
        with open(self.path("empty"), "wb"):
            pass
        self.error(USAGE, "perplexity", TINY, "empty")


if __name__ == "__main__":
    program.main()
