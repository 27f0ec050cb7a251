"""Adapters: imported beside their base, run as BASE:NAME, exported in both forms and merged."""

import json
import os
import shutil

import json_test
import program
from program import CORRUPT, EXISTS, NOT_FOUND, UNSUPPORTED, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")
ADAPTER = f"{GOLDEN}/adapters/llama_all_linear"
BASE = f"{GOLDEN}/tiny/untied_f32.gguf"


def read(path):
    with open(path, "rb") as file:
        return file.read()


class AdapterTest(json_test.DocumentedKeys, program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.malina("import", BASE, "--name", "tiny")

    def answer(self, model, *options):
        result = self.json("complete", model, "hello the world", "--max-tokens", "12", "--temperature",
                           "0", "--exact", *options)
        return result["choices"][0]["text"]

    def copy(self, name="adapter", **changes):
        """A copy of the adapter, with keys of its configuration changed."""
        target = self.path(name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(ADAPTER, target)
        file = os.path.join(target, "adapter_config.json")
        config = {**json.loads(read(file)), **changes}
        with open(file, "w") as output:
            json.dump(config, output)
        return target

    def test_an_adapter_is_kept_and_runs_under_its_base(self):
        folder = self.copy("support")
        for name, text in (("malina.json", "{}"), ("README.md", "# Card"), ("optimizer.pt", "x"), (".hidden", "x")):
            with open(os.path.join(folder, name), "w") as output:
                output.write(text)
        said = self.output("import", folder, "--base", "tiny")
        self.assertIn("imported tiny:support", said)
        base, adapter = self.json("list")["models"]
        self.assertEqual((base["name"], adapter["name"]), ("tiny", "tiny:support"))
        self.assertEqual(adapter["base"], base["digest"])
        self.assertIsNone(base["base"])
        self.assertEqual((adapter["family"], adapter["encoding"]), ("llama", "lora"))
        self.assertEqual([os.path.basename(file["path"]) for file in adapter["files"]],
                         ["adapter_config.json", "adapter_model.safetensors", "README.md", "malina.json"])
        shutil.rmtree(folder)
        self.assertNotEqual(self.answer("tiny:support"), self.answer("tiny"))
        self.malina("verify", "tiny:support")
        self.assertIn("already there", self.output("import", ADAPTER, "--base", "tiny", "--name", "again") +
                      self.output("import", ADAPTER, "--base", "tiny", "--name", "again"))
        self.malina("alias", "set", "prod=tiny:support")
        self.assertEqual(self.answer("prod"), self.answer("tiny:support"))

    def test_a_base_stays_while_adapters_need_it(self):
        self.malina("import", ADAPTER, "--base", "tiny", "--name", "support")
        self.assertIn("is the base of tiny:support", self.error(USAGE, "remove", "tiny"))
        self.malina("remove", "tiny:support")
        self.malina("remove", "tiny")
        self.assert_nothing_left()

    def test_what_is_no_adapter_of_the_base_is_refused(self):
        before = self.json("list")
        self.assertIn("--base", self.error(USAGE, "import", ADAPTER))
        self.assertIn("is no adapter", self.error(USAGE, "import", BASE, "--base", "tiny", "--name", "x"))
        self.assertIn("--base MODEL", self.error(USAGE, "run", ADAPTER, "hello"))
        self.error(NOT_FOUND, "import", ADAPTER, "--base", "nobody")
        self.malina("import", f"{GOLDEN}/families/qwen3.gguf", "--name", "qwen")
        self.assertIn("has shape [64, 4], expected [128, 4]", self.error(CORRUPT, "import", ADAPTER, "--base", "qwen"))
        self.assertIn("use_dora", self.error(UNSUPPORTED, "import", self.copy(use_dora=True), "--base", "tiny"))
        self.assertIn("BASE:NAME".replace("BASE", "tiny"),
                      self.error(USAGE, "import", ADAPTER, "--base", "tiny", "--name", "qwen:x"))
        self.assertEqual(self.json("list")["models"][1:], before["models"])

    def test_forms_are_written_and_mean_the_same(self):
        self.malina("import", ADAPTER, "--base", "tiny", "--name", "a")
        gguf, peft = self.path("a.gguf"), self.path("peft")
        report = self.json("adapter", "export", "tiny:a", gguf)
        self.assertEqual(report["format"], "GGUF")
        self.check("adapter export", report)
        self.error(EXISTS, "adapter", "export", "tiny:a", gguf)
        self.malina("import", gguf, "--base", "tiny", "--name", "b")
        self.assertEqual(self.answer("tiny:b"), self.answer("tiny:a"))
        self.malina("adapter", "export", gguf, peft, "--base", BASE)
        self.assertEqual(read(peft + "/adapter_model.safetensors"), read(ADAPTER + "/adapter_model.safetensors"))
        self.error(EXISTS, "adapter", "export", "tiny:a", peft)
        self.assertIn("not an adapter", self.error(USAGE, "adapter", "export", "tiny", self.path("x")))

    def test_merged_models_answer_as_base_and_adapter(self):
        self.malina("import", ADAPTER, "--base", "tiny", "--name", "a")
        expected = self.answer("tiny:a")
        merged, directory = self.path("merged.gguf"), self.path("merged")
        report = self.json("adapter", "merge", "tiny:a", merged)
        self.assertLess(report["parity"]["lost"], 1e-5)
        self.assertEqual(report["parity"]["same_token"], report["parity"]["positions"])
        self.check("adapter merge", report)
        self.assertEqual(self.answer(merged), expected)
        self.malina("adapter", "merge", "tiny:a", directory)
        self.assertEqual(self.answer(directory), expected)
        self.error(EXISTS, "adapter", "merge", "tiny:a", merged)
        self.malina("adapter", "merge", "tiny:a", merged, "--replace", "--type", "f16")

    def test_a_merge_that_loses_the_adapter_is_refused(self):
        # A change that is small beside the steps of 4 bits.
        small = self.copy("small", lora_alpha=0.02)
        self.malina("import", small, "--base", "tiny")
        merged = self.path("merged.gguf")
        message = self.error(UNSUPPORTED, "adapter", "merge", "tiny:small", merged, "--type", "q4_0")
        self.assertIn("would lose", message)
        self.assertFalse(os.path.exists(merged))
        report = self.json("adapter", "merge", "tiny:small", merged, "--type", "q4_0", "--force")
        self.assertGreater(report["parity"]["lost"], 0.1)
        self.assertTrue(os.path.exists(merged))

    def test_a_head_stays_out_of_forms_without_place_for_it(self):
        self.malina("import", f"{GOLDEN}/families/qwen3.gguf", "--name", "qwen")
        self.malina("import", f"{GOLDEN}/adapters/qwen3_classifier", "--base", "qwen", "--name", "head")
        for output in ("export", "merge"):
            self.assertIn("classification head",
                          self.error(UNSUPPORTED, "adapter", output, "qwen:head", self.path("x.gguf")))
        self.malina("adapter", "export", "qwen:head", self.path("copy"))
        self.assertEqual(read(self.path("copy/adapter_model.safetensors")),
                         read(f"{GOLDEN}/adapters/qwen3_classifier/adapter_model.safetensors"))

    def test_an_adapter_is_not_its_base(self):
        self.malina("import", ADAPTER, "--base", "tiny", "--name", "a")
        for command in (("quantize", "tiny:a", self.path("x.gguf"), "--to", "q8_0"), ("convert", "tiny:a", self.path("x"))):
            self.assertIn("adapter merge", self.error(USAGE, *command))


if __name__ == "__main__":
    program.main()
