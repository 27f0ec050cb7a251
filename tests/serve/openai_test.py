"""OpenAI's routes: what they answer, in one piece and as a stream, and what they refuse."""

import base64
import json
import struct
import threading

import server


class OpenAiTest(server.ServerTest):
    def text_of(self, events):
        return "".join(event["choices"][0]["delta"].get("content", "") for event in events[:-1]
                       if event["choices"])

    def test_a_chat_is_what_the_command_answers(self):
        answer = self.server.chat("hello", temperature=0, max_tokens=20).json()
        expected = json.loads(self.run_program("run", "tiny", "hello", "--temperature", "0",
                                               "--max-tokens", "20", "--json"))
        choice = answer["choices"][0]
        self.assertEqual(choice["message"]["content"], expected["choices"][0]["message"]["content"])
        self.assertEqual(choice["finish_reason"], expected["choices"][0]["finish_reason"])
        self.assertEqual(answer["usage"]["prompt_tokens"], expected["usage"]["prompt_tokens"])
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(answer["model"], "tiny")

    def test_a_stream_gives_the_same_text(self):
        whole = self.server.chat(seed=5, max_tokens=30).json()
        stream = self.server.chat(seed=5, max_tokens=30, stream=True)
        self.assertEqual(stream.headers["content-type"], "text/event-stream; charset=utf-8")
        events = stream.events()
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual(self.text_of(events), whole["choices"][0]["message"]["content"])
        self.assertEqual(events[-2]["choices"][0]["finish_reason"],
                         whole["choices"][0]["finish_reason"])

    def test_a_stream_ends_with_its_usage_where_that_was_asked_for(self):
        events = self.server.chat(seed=5, max_tokens=8, stream=True,
                                  stream_options={"include_usage": True}).events()
        self.assertEqual(events[-2]["choices"], [])
        self.assertGreater(events[-2]["usage"]["prompt_tokens"], 0)
        self.assertTrue(all(event["usage"] is None for event in events[:-2]))

    def test_n_answers_differ_and_repeat_with_the_seed(self):
        first = self.server.chat(n=3, seed=11, max_tokens=12).json()
        again = self.server.chat(n=3, seed=11, max_tokens=12).json()
        texts = [choice["message"]["content"] for choice in first["choices"]]
        self.assertEqual(texts, [choice["message"]["content"] for choice in again["choices"]])
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual([choice["index"] for choice in first["choices"]], [0, 1, 2])

    def test_log_probabilities_of_a_chat(self):
        answer = self.server.chat(temperature=0, max_tokens=5, logprobs=True, top_logprobs=3).json()
        content = answer["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(content), answer["usage"]["completion_tokens"])
        for entry in content:
            self.assertEqual(len(entry["top_logprobs"]), 3)
            self.assertEqual(entry["top_logprobs"][0]["logprob"], entry["logprob"])
            self.assertLessEqual(entry["logprob"], 0)

    def test_completions_score_as_the_command_does(self):
        fields = {"echo": True, "logprobs": 5, "max_tokens": 0, "temperature": 0}
        answer = self.server.complete("hello hell", **fields).json()["choices"][0]
        expected = json.loads(self.run_program(
            "complete", "tiny", "hello hell", "--echo", "--logprobs", "5", "--max-tokens", "0",
            "--json"))["choices"][0]
        self.assertEqual(answer["logprobs"], expected["logprobs"])
        self.assertEqual(answer["text"], "hello hell")

    def test_prompts_come_as_texts_and_as_tokens(self):
        tokens = self.server.post("/v1/tokenize", {"model": "tiny", "prompt": "hello"}).json()["tokens"]
        options = {"temperature": 0, "max_tokens": 6}
        text = self.server.complete("hello", **options).json()["choices"][0]["text"]
        for prompt in (tokens, [tokens], ["hello"]):
            choices = self.server.complete(prompt, **options).json()["choices"]
            self.assertEqual([choice["text"] for choice in choices], [text])
        choices = self.server.complete(["hello", "hell", "he"], **options).json()["choices"]
        self.assertEqual([choice["index"] for choice in choices], [0, 1, 2])
        self.assertEqual(choices[0]["text"], text)

    def test_a_completion_streams_what_it_answers_whole(self):
        fields = {"seed": 3, "max_tokens": 25, "logprobs": 2}
        whole = self.server.complete("hello", **fields).json()["choices"][0]
        events = self.server.complete("hello", stream=True, **fields).events()
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual("".join(event["choices"][0]["text"] for event in events[:-1]), whole["text"])
        tokens = [token for event in events[:-1] if event["choices"][0]["logprobs"]
                  for token in event["choices"][0]["logprobs"]["tokens"]]
        self.assertEqual(tokens, whole["logprobs"]["tokens"])
        offsets = [offset for event in events[:-1] if event["choices"][0]["logprobs"]
                   for offset in event["choices"][0]["logprobs"]["text_offset"]]
        self.assertEqual(offsets, sorted(offsets))
        self.assertEqual(offsets[0], 0)
        self.assertGreater(offsets[-1], 0)

    def test_stops_end_an_answer(self):
        whole = self.server.complete(seed=1, max_tokens=40).json()["choices"][0]["text"]
        stop = whole[10:13]
        cut = self.server.complete(seed=1, max_tokens=40, stop=[stop]).json()["choices"][0]
        self.assertEqual(cut["text"], whole[:whole.index(stop)])
        self.assertEqual(cut["finish_reason"], "stop")

    def test_an_answer_held_to_json_is_one_object(self):
        # A random model writes strings for ever: what ends them is made likelier.
        ids = [self.server.post("/v1/tokenize", {"model": "tiny", "prompt": text}).json()["tokens"][0]
               for text in ('"', "}", "]")]
        asked = {"response_format": {"type": "json_object"}, "max_tokens": 300,
                 "logit_bias": {str(token): 8 for token in ids}}
        ended = 0
        for seed in range(12):
            choice = self.server.chat(seed=seed, **asked).json()["choices"][0]
            text = choice["message"]["content"]
            self.assertEqual(text.lstrip()[:1], "{")
            if choice["finish_reason"] == "length":
                continue
            ended += 1
            self.assertIsInstance(json.loads(text), dict)
            events = self.server.chat(seed=seed, stream=True, **asked).events()
            self.assertEqual(self.text_of(events), text)
        self.assertGreater(ended, 6)
        self.assertEqual(self.server.chat(seed=1, max_tokens=9).json()["choices"],
                         self.server.chat(seed=1, max_tokens=9,
                                          response_format={"type": "text"}).json()["choices"])

    def test_many_at_once_are_each_as_alone(self):
        prompts = [f"hello {i} hell" for i in range(40)]
        fields = {"max_tokens": 16}
        alone = [self.server.complete(prompt, seed=i, **fields).json()["choices"][0]["text"]
                 for i, prompt in enumerate(prompts)]
        together = [None] * len(prompts)

        def ask(i):
            events = self.server.complete(prompts[i], seed=i, stream=True, **fields).events()
            together[i] = "".join(event["choices"][0]["text"] for event in events[:-1])

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)

    def test_embeddings_are_the_pooled_hidden_states(self):
        ask = lambda **fields: self.server.post("/v1/embeddings", {"model": "tiny", **fields})
        one = ask(input="hello hell").json()
        vector = one["data"][0]["embedding"]
        self.assertEqual(one["pooling"], "mean")
        self.assertAlmostEqual(sum(value * value for value in vector), 1, places=5)
        self.assertEqual(len(vector), 64)
        encoded = ask(input="hello hell", encoding_format="base64").json()["data"][0]["embedding"]
        read = struct.unpack(f"<{len(vector)}f", base64.b64decode(encoded))
        for a, b in zip(read, vector):
            self.assertAlmostEqual(a, b, places=6)
        tokens = self.server.post("/v1/tokenize", {"model": "tiny", "prompt": "hello hell"}).json()["tokens"]
        many = ask(input=["x", "hello hell", "y" * 200]).json()["data"]
        self.assertEqual(many[1]["embedding"], vector)  # whatever its company
        self.assertEqual(ask(input=tokens).json()["data"][0]["embedding"], vector)
        self.assertEqual(ask(input=[tokens, [1]]).json()["data"][0]["embedding"], vector)
        last = ask(input="hello hell", pooling="last").json()["data"][0]["embedding"]
        self.assertNotEqual(last, vector)
        # The mean over one token is its own state.
        self.assertEqual(ask(input=[5]).json()["data"], ask(input=[5], pooling="last").json()["data"])
        for wrong in ("", [], [""], [[]], [1.5], ["a", 1], "x" * (self.context + 1), ["a"] * 257):
            self.assert_error(ask(input=wrong), 400)
        self.assert_error(ask(input="x", dimensions=10), 400, "unsupported_parameter", "dimensions")

    def test_tokens_and_back(self):
        tokens = self.server.post("/v1/tokenize", {"model": "tiny", "prompt": "hello wörld"}).json()
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        self.assertEqual(tokens["max_model_len"], self.context)
        back = self.server.post("/v1/detokenize", {"model": "tiny", "tokens": tokens["tokens"]})
        self.assertEqual(back.json(), {"prompt": "hello wörld"})
        self.assert_error(
            self.server.post("/v1/detokenize", {"model": "tiny", "tokens": [99999]}), 400)

    def test_models_are_listed(self):
        models = self.server.get("/v1/models").json()["data"]
        self.assertEqual([model["id"] for model in models], ["tiny"])
        self.assertEqual(self.server.get("/v1/models/tiny").json(), models[0])
        self.assert_error(self.server.get("/v1/models/none"), 404, "model_not_found")

    def test_content_parts_and_the_developers_role(self):
        plain = self.server.post("/v1/chat/completions", {
            "model": "tiny", "temperature": 0, "max_tokens": 4, "messages": [
                {"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]})
        parts = self.server.post("/v1/chat/completions", {
            "model": "tiny", "temperature": 0, "max_tokens": 4, "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "be "},
                                                  {"type": "text", "text": "kind"}]},
                {"role": "user", "content": "hello", "name": None}]})
        self.assertEqual(plain.json()["choices"], parts.json()["choices"])
        self.assertEqual(plain.json()["usage"]["prompt_tokens"], parts.json()["usage"]["prompt_tokens"])

    def test_a_bias_that_is_no_whole_number_counts_as_it_is(self):
        ask = lambda **more: self.server.complete("a", max_tokens=1, temperature=0, logprobs=2, **more).json()["choices"][0]
        (first, most), (second, less) = ask()["logprobs"]["top_logprobs"][0].items()
        token = self.server.post("/v1/tokenize", {"model": "tiny", "prompt": second}).json()["tokens"][0]
        gap = most - less
        self.assertNotEqual(int(gap - 0.01), gap - 0.01)
        self.assertEqual(ask(logit_bias={str(token): gap - 0.01})["text"], first)
        self.assertEqual(ask(logit_bias={str(token): gap + 0.01})["text"], second)
        for wrong in ("x", 100.5, None, {}):
            self.assert_error(self.server.complete("a", logit_bias={"5": wrong}), 400, "invalid_value")

    def test_what_changes_nothing_is_named(self):
        answer = self.server.chat(max_tokens=1, user="me", metadata={"a": "b"}, store=False, tools=[],
                                  n=1)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["x-malina-ignored"], "user, metadata, store")

    def test_what_is_wrong_is_named(self):
        cases = [
            ({"temperature": 3}, "temperature", "invalid_value"),
            ({"temperature": "hot"}, "temperature", "invalid_value"),
            ({"max_tokens": 0}, "max_tokens", "invalid_value"),
            ({"max_tokens": 1.5}, "max_tokens", "invalid_value"),
            ({"n": 9}, "n", "invalid_value"),
            ({"stop": ["a"] * 5}, "stop", "invalid_value"),
            ({"stop": [""]}, "stop", "invalid_value"),
            ({"logit_bias": {"x": 1}}, "logit_bias", "invalid_value"),
            ({"logit_bias": {"1": 101}}, "logit_bias", "invalid_value"),
            ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
            ({"stream_options": {}}, "stream_options", "invalid_value"),
            ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
            ({"response_format": {"type": "json_schema"}}, "response_format.type", "invalid_value"),
            ({"temprature": 1}, "temprature", "unknown_parameter"),
            ({"messages": []}, "messages", "invalid_value"),
            ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
            ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "invalid_value"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
             "messages[0].content[0].type", "invalid_value"),
        ]
        for fields, param, code in cases:
            with self.subTest(fields=fields):
                self.assert_error(self.server.chat(**fields), 400, code, param)
        self.assert_error(self.server.post("/v1/chat/completions", {"messages": []}), 400,
                          "missing_required_parameter", "model")
        for body in (b"", b"{", b"[]", b"null", b'{"model": "tiny", "model": "tiny"}', b"\xff"):
            with self.subTest(body=body):
                self.assert_error(self.server.post("/v1/chat/completions", body), 400)

    def test_tokens_outside_of_the_vocabulary_are_named(self):
        self.assert_error(self.server.complete([1, 999999]), 400, None, "prompt")
        self.assert_error(self.server.complete([[1], [999999]], n=2), 400, None, "prompt")
        self.assert_error(self.server.complete("x", logit_bias={"999999": 1}), 400, None, "logit_bias")
        self.assert_error(self.server.chat(logit_bias={"999999": 1}), 400, None, "logit_bias")
        self.assert_error(self.server.post("/v1/embeddings", {"model": "tiny", "input": [999999]}), 400, None,
                          "input")
        self.assert_error(self.server.post("/v1/detokenize", {"model": "tiny", "tokens": [999999]}), 400, None,
                          "tokens")

    def test_a_prompt_too_long_is_refused_and_never_cut(self):
        for length in (self.context * 2, 3_000_000):  # the last one before it is read into tokens
            long = "x" * length
            self.assert_error(self.server.chat(long), 400, "context_length_exceeded", "messages")
            self.assert_error(self.server.complete(long), 400, "context_length_exceeded", "prompt")
            self.assert_error(self.server.post("/v1/embeddings", {"model": "tiny", "input": long}), 400,
                              "context_length_exceeded", "input")

    def test_an_unknown_model_is_a_404(self):
        response = self.server.post("/v1/completions", {"model": "none", "prompt": "x"})
        self.assert_error(response, 404, "model_not_found")


if __name__ == "__main__":
    server.main()
