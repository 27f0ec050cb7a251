"""Ollama's routes, as its own client calls them."""

import json
import time

import server


class OllamaTest(server.ServerTest):
    def lines(self, response):
        self.assertEqual(response.headers["content-type"], "application/x-ndjson")
        return [json.loads(line) for line in response.body.splitlines()]

    def chat(self, **fields):
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}],
                "options": {"seed": 4, "num_predict": 12}}
        body.update(fields)
        return self.server.post("/api/chat", body)

    def test_the_root_says_that_there_is_a_server(self):
        answer = self.server.get("/", key=False)
        self.assertEqual((answer.status, answer.body), (200, b"malina is running"))
        head = self.server.request("HEAD", "/", key=False)
        self.assertEqual((head.status, head.body), (200, b""))

    def test_a_chat_streams_by_lines_what_it_answers_whole(self):
        lines = self.lines(self.chat())
        whole = self.chat(stream=False).json()
        self.assertEqual("".join(line["message"]["content"] for line in lines),
                         whole["message"]["content"])
        self.assertTrue(lines[-1]["done"])
        self.assertTrue(all(not line["done"] for line in lines[:-1]))
        for last in (lines[-1], whole):
            self.assertIn(last["done_reason"], ("stop", "length"))
            self.assertGreater(last["prompt_eval_count"], 0)
            self.assertGreater(last["eval_count"], 0)
            self.assertGreater(last["total_duration"], 0)

    def test_a_name_may_end_in_latest(self):
        self.assertEqual(self.chat(model="tiny:latest", stream=False).json()["message"],
                         self.chat(stream=False).json()["message"])

    def test_generate_is_a_chat_of_one_message(self):
        answer = self.server.post("/api/generate", {
            "model": "tiny", "prompt": "hello", "stream": False,
            "options": {"seed": 4, "num_predict": 12}}).json()
        self.assertEqual(answer["response"], self.chat(stream=False).json()["message"]["content"])

    def test_the_format_json_gives_the_beginning_of_an_object(self):
        raw = {"model": "tiny", "prompt": "hello", "raw": True, "stream": False}
        for seed in range(4):
            asked = {"format": "json", "options": {"seed": seed, "num_predict": 12}}
            chat = self.chat(stream=False, **asked).json()["message"]["content"]
            self.assertEqual(chat.lstrip()[:1], "{")
            answer = self.server.post("/api/generate", {**raw, **asked}).json()["response"]
            self.assertEqual(answer.lstrip()[:1], "{")
        self.assertEqual(self.chat(format="xml").status, 400)
        self.assertEqual(self.chat(format={"type": "object"}).status, 400)

    def test_a_raw_prompt_needs_no_template(self):
        answer = self.server.post("/api/generate", {
            "model": "tiny", "prompt": "hello", "raw": True, "stream": False,
            "options": {"temperature": 0, "num_predict": 6}}).json()
        expected = self.server.complete("hello", temperature=0, max_tokens=6).json()
        self.assertEqual(answer["response"], expected["choices"][0]["text"])

    def test_an_empty_prompt_loads_and_gives_up(self):
        self.assertEqual(self.server.post("/api/generate", {"model": "tiny"}).json()["done_reason"],
                         "load")
        names = lambda: [model["name"] for model in self.server.get("/api/ps").json()["models"]]
        self.assertEqual(names(), ["tiny:latest"])
        answer = self.server.post("/api/generate", {"model": "tiny", "keep_alive": 0}).json()
        self.assertEqual(answer["done_reason"], "unload")
        end = time.monotonic() + server.SECONDS
        while names():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual(self.chat(stream=False).status, 200)  # and it is loaded again

    def test_models_are_listed_and_shown(self):
        models = self.server.get("/api/tags").json()["models"]
        self.assertEqual([model["name"] for model in models], ["tiny:latest"])
        shown = self.server.post("/api/show", {"model": "tiny"}).json()
        self.assertEqual(shown["details"]["family"], "llama")
        self.assertEqual(shown["model_info"]["llama.context_length"], self.context)
        self.assertIn("messages", shown["template"])
        self.assertEqual(self.server.post("/api/show", {"name": "none"}).status, 404)
        self.assertRegex(self.server.get("/api/version").json()["version"], r"^\d+\.\d+\.\d+$")

    def test_embeddings(self):
        openai = self.server.post("/v1/embeddings", {"model": "tiny", "input": ["hello", "hell"]}).json()
        answer = self.server.post("/api/embed", {"model": "tiny", "input": ["hello", "hell"]}).json()
        self.assertEqual(answer["embeddings"], [entry["embedding"] for entry in openai["data"]])
        self.assertEqual(answer["prompt_eval_count"], openai["usage"]["prompt_tokens"])
        older = self.server.post("/api/embeddings", {"model": "tiny", "prompt": "hello"}).json()
        length = sum(value * value for value in older["embedding"]) ** 0.5
        for a, b in zip(older["embedding"], answer["embeddings"][0]):
            self.assertAlmostEqual(a / length, b, places=5)

    def test_errors_are_in_ollamas_shape(self):
        for response, status in (
            (self.chat(model="none"), 404),
            (self.chat(options={"temperature": 9}), 400),
            (self.chat(options={"mirostat": 2}), 400),
            (self.chat(nonsense=1), 400),
            (self.chat(keep_alive="often"), 400),
            (self.server.post("/api/chat", {}, key=False), 401),
        ):
            self.assertEqual(response.status, status, response.body)
            self.assertIsInstance(response.json()["error"], str)

    def test_options_that_change_nothing_are_named(self):
        answer = self.chat(stream=False, options={"num_ctx": 4096, "num_predict": 1, "mirostat": 0})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["x-malina-ignored"], "options.num_ctx")


if __name__ == "__main__":
    server.main()
