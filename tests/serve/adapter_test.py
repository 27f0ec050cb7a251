"""Adapters of a served model: answered at once as BASE:NAME, many in one batch, each as if alone."""

import json
import os
import pathlib
import shutil
import threading

import server

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
ADAPTERS = 4


class AdapterTest(server.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("import", str(GOLDEN / "tiny/untied_f32.gguf"), "--name", "base")

    @classmethod
    def add(cls, name, **changes):
        """An adapter whose scale tells it from others."""
        folder = os.path.join(cls.shared, name)
        shutil.copytree(GOLDEN / "adapters/llama_all_linear", folder)
        file = os.path.join(folder, "adapter_config.json")
        config = {**json.loads(pathlib.Path(file).read_text()), **changes}
        pathlib.Path(file).write_text(json.dumps(config))
        cls.run_program("import", folder, "--base", "base", "--name", name)

    def answer(self, model, **fields):
        response = self.server.complete("hello the world", model=model, temperature=0, max_tokens=24, **fields)
        self.assertEqual(response.status, 200, response.body)
        return response.json()["choices"][0]["text"]

    def command_answer(self, model):
        said = json.loads(self.run_program("complete", model, "hello the world", "--temperature", "0",
                                           "--max-tokens", "24", "--json"))
        return said["choices"][0]["text"]

    def test_an_adapter_is_served_at_once_and_with_others(self):
        before = self.answer("base")
        names = [f"a{i}" for i in range(ADAPTERS)]
        self.assert_error(self.server.complete("hello", model="base:a0"), 404)
        for number, name in enumerate(names):
            self.add(name, lora_alpha=4 + 4 * number)
        models = ["base"] + [f"base:{name}" for name in names]
        listed = [model["id"] for model in self.server.get("/v1/models").json()["data"]]
        self.assertTrue(set(models) <= set(listed), listed)
        expected = {model: self.command_answer(model) for model in models}
        self.assertEqual(expected["base"], before)
        self.assertGreater(len(set(expected.values())), ADAPTERS - 1, expected)
        found = []

        def ask(model):
            found.append((model, self.answer(model)))

        threads = [threading.Thread(target=ask, args=(model,)) for model in models * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(found), len(threads))
        for model, text in found:
            self.assertEqual(text, expected[model], model)

    def test_a_damaged_adapter_does_not_harm_its_base(self):
        self.add("broken", lora_alpha=3)
        home = pathlib.Path(self.shared_home)
        listed = json.loads(self.run_program("list", "--json"))["models"]
        files = next(model["files"] for model in listed if model["name"] == "base:broken")
        weights = pathlib.Path(files[1]["path"])
        weights.chmod(0o600)
        weights.write_bytes(weights.read_bytes()[:-8])
        self.assertGreaterEqual(self.server.complete("hello", model="base:broken").status, 400)
        self.assertEqual(self.answer("base"), self.command_answer("base"))
        self.assertTrue(home.exists())

    def test_ollama_finds_it_too(self):
        self.add("tagged", lora_alpha=6)
        tags = [model["name"] for model in self.server.get("/api/tags").json()["models"]]
        self.assertIn("base:tagged", tags)
        self.assertIn("base:latest", tags)
        response = self.server.post("/api/generate", {"model": "base:tagged", "prompt": "hello the world", "raw": True,
                                                      "stream": False, "options": {"temperature": 0, "num_predict": 24}})
        self.assertEqual(response.json()["response"], self.command_answer("base:tagged"))


if __name__ == "__main__":
    server.main()
