"""Filling in the middle over HTTP: what stands between a prompt and a suffix."""

import os

import server
import gguf_file  # found by server

MARKS = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]


def write_infilling_model(path, **options):
    """The tiny model with the three tokens of StarCoder, Qwen and others; gives their ids."""
    metadata = gguf_file.model_metadata(layers=2, **options)
    for i, (key, kind, value) in enumerate(metadata):
        if key == "tokenizer.ggml.tokens":
            ids = list(range(len(value), len(value) + len(MARKS)))
            metadata[i] = (key, kind, value + MARKS)
        if key == "tokenizer.ggml.token_type":
            metadata[i] = (key, kind, value + [3] * len(MARKS))
    tensors = [(name, [64, ids[-1] + 1] if name == "token_embd.weight" else shape)
               for name, shape in gguf_file.model_tensors(layers=2)]
    gguf_file.write(path, metadata, tensors, server.normal(9))
    return ids


class InfillTest(server.ServerTest):
    BEFORE, AFTER = "hello def f(x): ", " return y"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        path = os.path.join(cls.shared, "code.gguf")
        cls.marks = write_infilling_model(path, context=cls.context, name="Code")
        cls.run_program("import", path, "--name", "code")

    def expected(self, before, after):
        """The answer to the tokens that such a model reads (text/infilling.h)."""
        first, second, third = self.marks
        tokens = lambda text: self.server.post("/v1/tokenize", {"model": "code", "prompt": text}).json()["tokens"]
        prompt = [first, *tokens(before), second, *tokens(after), third]
        answer = self.server.complete(prompt, model="code", temperature=0, max_tokens=12).json()
        self.assertEqual(answer["usage"]["prompt_tokens"], len(prompt))
        return answer["choices"][0]["text"], len(prompt)

    def ask(self, prompt, **fields):
        return self.server.complete(prompt, model="code", temperature=0, max_tokens=12, **fields)

    def test_a_completion_reads_both_sides(self):
        for before, after in ((self.BEFORE, self.AFTER), ("", self.AFTER), (self.BEFORE, "")):
            with self.subTest(before=before, after=after):
                text, tokens = self.expected(before, after)
                answer = self.ask(before, suffix=after).json()
                self.assertEqual((answer["choices"][0]["text"], answer["usage"]["prompt_tokens"]), (text, tokens))
                events = self.ask(before, suffix=after, stream=True).events()
                self.assertEqual("".join(event["choices"][0]["text"] for event in events[:-1]), text)
        text, _ = self.expected(self.BEFORE, self.AFTER)
        self.assertNotEqual(self.ask(self.BEFORE).json()["choices"][0]["text"], text)
        many = self.ask([self.BEFORE, "x"], suffix=self.AFTER).json()["choices"]
        self.assertEqual([choice["text"] for choice in many], [text, self.expected("x", self.AFTER)[0]])

    def test_ollamas_generate_reads_both_sides(self):
        text, tokens = self.expected(self.BEFORE, self.AFTER)
        answer = self.server.post("/api/generate", {
            "model": "code", "prompt": self.BEFORE, "suffix": self.AFTER, "stream": False,
            "options": {"temperature": 0, "num_predict": 12}}).json()
        self.assertEqual((answer["response"], answer["prompt_eval_count"]), (text, tokens))

    def test_marks_in_a_text_are_text(self):
        _, tokens = self.expected(self.BEFORE, self.AFTER)
        answer = self.ask(self.BEFORE + MARKS[2], suffix=self.AFTER).json()
        self.assertGreater(answer["usage"]["prompt_tokens"], tokens + 5)

    def test_what_cannot_be_is_named(self):
        answer = self.server.complete(self.BEFORE, suffix=self.AFTER)
        self.assert_error(answer, 400)
        self.assertIn("not made to fill in", answer.json()["error"]["message"])
        self.assert_error(self.ask([70, 71], suffix=self.AFTER), 400, "invalid_value", "suffix")
        self.assert_error(self.ask(self.BEFORE, suffix=self.AFTER, echo=True), 400, "invalid_value", "echo")
        system = self.server.post("/api/generate", {"model": "code", "prompt": "x", "suffix": "y", "system": "z"})
        self.assertEqual(system.status, 400)


if __name__ == "__main__":
    server.main()
