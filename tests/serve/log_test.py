"""The log says who asked, for how long and how it ended: never a word of what was asked."""

import json

import server


class LogTest(server.ServerTest):
    """What a request says is a secret wherever it says it, also where it is wrong and the answer names it."""

    SECRET = "zebra7531"

    def requests(self):
        """(path, body)"""
        secret = self.SECRET
        say = {"role": "user", "content": "x"}
        for fields in (
                {"messages": [{"role": secret, "content": "x"}]}, {secret: 1}, {"model": secret},
                {"messages": [{**say, secret: 1}]}, {"messages": [{**say, "content": [{"type": secret}]}]},
                {"messages": [{**say, "content": [{"type": "text", "text": "x", secret: 1}]}]},
                {"messages": [{**say, "content": {secret: 1}}]}, {"messages": [{**say, "tool_calls": [{"id": secret}]}]},
                {"messages": secret}, {"response_format": {"type": secret}}, {"response_format": {secret: 1}},
                {"response_format": {"type": "json_schema", "json_schema": {"name": secret}}},
                {"tools": [{"type": secret}]}, {"tools": [{"type": "function", "function": {"name": secret}}]},
                {"tool_choice": secret}, {"functions": [{"name": secret}]}, {"stream_options": {secret: True}},
                {"logit_bias": {secret: 1}}, {"stop": {secret: 1}}, {"seed": secret}, {"n": secret},
                {"metadata": {secret: [1]}}, {"modalities": [secret]}, {"prediction": {"content": secret}}):
            yield "/v1/chat/completions", json.dumps({"model": "tiny", "messages": [say], "max_tokens": 1, **fields})
        for text in (f'{{"{secret}": 1, "{secret}": 1}}', f'{{"{secret}": ', f'{{"model": "tiny", "prompt": {secret}}}',
                     f'{{"prompt": "{secret}\\q"}}', f'{{"prompt": "{secret}', f'["{secret}"]', f'"{secret}"', secret,
                     '{"a": ' * 100 + f'"{secret}"', f'{{"messages": [{{"{secret}": 1, "{secret}": 2}}]}}'):
            yield "/v1/chat/completions", text
            yield "/api/chat", text
        for path, fields in (
                ("/v1/completions", {"prompt": [secret, 1]}), ("/v1/completions", {"prompt": {secret: 1}}),
                ("/v1/completions", {"prompt": secret, "suffix": secret}), ("/v1/completions", {"prompt": secret * 200}),
                ("/v1/embeddings", {"input": "x", "encoding_format": secret}),
                ("/v1/embeddings", {"input": {secret: 1}}), ("/v1/embeddings", {"input": "x", "pooling": secret}),
                ("/v1/tokenize", {"messages": [{"role": secret, "content": "x"}]}),
                ("/v1/detokenize", {"tokens": [secret]}),
                ("/v1/decisions", {"input": "x", "questions": [{"type": secret}]}),
                ("/v1/decisions", {"input": "x", "questions": [{"type": "choice", "name": secret, "choices": []}]}),
                ("/v1/decisions", {"input": "x", "questions": [{"type": "predicate", secret: 1}]}),
                ("/v1/systemone", {"state": "x", "questions": {secret: {"type": "choice"}}}),
                ("/api/chat", {"messages": [{"role": secret, "content": "x"}]}),
                ("/api/generate", {"prompt": "x", "options": {secret: 1}}),
                ("/api/generate", {"prompt": "x", "format": secret}),
                ("/api/generate", {"prompt": "x", "keep_alive": secret}),
                ("/api/generate", {"prompt": "x", "template": secret}),
                ("/api/generate", {"prompt": secret, "suffix": secret}),
                ("/v1/fine_tuning/jobs", {"training_file": secret}),
                ("/v1/fine_tuning/jobs", {"training_file": "file-x", "suffix": secret + "/"}),
                ("/v1/fine_tuning/jobs", {"training_file": "file-x", "method": {"type": secret}}),
                ("/v1/fine_tuning/jobs", {"training_file": "file-x", "hyperparameters": {secret: 1}})):
            yield path, json.dumps({"model": "tiny", **fields})
            yield path, json.dumps({**fields, "model": secret})

    def check(self, form):
        running = self.start_instead("--log-format", form, "--log-level", "debug")
        before = len(running.errors())
        asked = list(self.requests())
        for path, body in asked:
            answer = running.post(path, body)
            self.assertLess(answer.status, 500, answer.body)
        for name, purpose in ((self.SECRET, "fine-tune"), ("x", self.SECRET), (self.SECRET + "/../", "fine-tune")):
            running.send_form("/v1/files", server.form(("purpose", None, purpose), ("file", name, "x")))
        running.send_form("/v1/files", server.form((self.SECRET, None, "x"), ("file", "x", "x")))
        running.send_form("/v1/files", server.form((self.SECRET, None, "x" * 5000), ("file", "x", "x")))
        running.get(f"/v1/files?purpose={self.SECRET}&{self.SECRET}=1")
        running.get(f"/v1/files?{self.SECRET}=1&{self.SECRET}=2")
        running.send_form("/v1/files", server.form((self.SECRET, None, "x"), (self.SECRET, None, "y"), ("file", "x", "x")))
        running.stop()
        lines = running.errors()[before:].splitlines()
        self.assertGreater(len(lines), len(asked))
        told = [line for line in lines if self.SECRET in line]
        self.assertEqual(told, [], f"{len(told)} of {len(lines)} lines of the log have it")

    def test_nothing_of_a_request_stands_in_the_log_for_people(self):
        self.check("text")

    def test_nothing_of_a_request_stands_in_the_log_for_programs(self):
        self.check("json")


if __name__ == "__main__":
    server.main()
