"""Directories of safetensors: every command takes them, and the store keeps them."""

import hashlib
import json
import os
import shutil

import program
from program import CORRUPT, NOT_FOUND, UNSUPPORTED, USAGE, ProgramTest

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
ASK = ("complete", "--temperature", "0", "--max-tokens", "8")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class HuggingFaceTest(ProgramTest):
    def directory(self, name="tied_bf16", target="tiny-llama"):
        return shutil.copytree(os.path.join(GOLDEN, "families_hf", name), self.path(target))

    def change(self, directory, **keys):
        path = os.path.join(directory, "config.json")
        with open(path) as file:
            config = json.load(file)
        with open(path, "w") as file:
            json.dump(config | keys, file)

    def answer(self, model):
        return self.output(ASK[0], model, "The cat", *ASK[1:])

    def test_a_directory_answers_as_its_file_does(self):
        self.directory()
        file = os.path.join(GOLDEN, "tiny", "tied_bf16.gguf")
        self.assertEqual(self.answer("./tiny-llama"), self.answer(file))
        self.assertEqual(self.answer("tiny-llama"), self.answer(file))
        self.assertEqual(self.answer("tiny-llama/config.json"), self.answer(file))
        self.assertEqual(self.output("tokenize", "./tiny-llama", "the 12", "--ids"),
                         self.output("tokenize", file, "the 12", "--ids"))

    def test_inspect(self):
        self.directory("mixtral_ties", "m")
        report = self.json("inspect", self.path("m"))
        self.assertEqual(report["format"], "safetensors")
        self.assertEqual(report["family"], "mixtral")
        self.assertEqual(os.path.basename(report["files"][0]), "config.json")
        self.assertEqual(report["warnings"], [])
        twin = self.json("inspect", os.path.join(GOLDEN, "families", "mixtral_ties.gguf"))
        for key in ("parameters", "sizes", "encodings", "architecture"):
            self.assertEqual(report[key], twin[key], key)
        digests = "".join(sha256(file) + "\n" for file in report["files"])
        self.assertEqual(report["digest"], hashlib.sha256(digests.encode()).hexdigest())

    def test_a_tie_flag_that_the_files_contradict_is_said(self):
        self.change(self.directory(), tie_word_embeddings=False)
        self.assertIn("the embedding is used", self.json("inspect", "./tiny-llama")["warnings"][0])
        self.assertIn("the embedding is used", self.output("inspect", "./tiny-llama"))

    def test_import_list_verify_remove(self):
        directory = self.directory("mixtral_ties")
        with open(os.path.join(directory, "README.md"), "w") as file:
            file.write("not of the model")
        before = self.answer("./tiny-llama")
        result = self.json("import", directory)
        self.assertEqual(result["name"], "tiny-llama")
        names = [os.path.basename(file["path"]) for file in result["files"]]
        self.assertEqual(names[0], "config.json")
        self.assertIn("model.safetensors.index.json", names)
        self.assertIn("tokenizer.json", names)
        self.assertNotIn("README.md", names)
        for file in result["files"]:
            self.assertTrue(file["path"].startswith(self.home))
            self.assertEqual(file["digest"], sha256(file["path"]))
        self.assertTrue(self.json("import", directory)["already_there"])
        self.assertEqual(self.json("inspect", result["name"])["title"], "", "not the digest")
        shutil.rmtree(directory)
        self.assertEqual(self.answer("tiny-llama"), before)
        self.assertEqual(self.json("list")["models"][0]["digest"], result["digest"])
        self.assertIn("intact", self.output("verify", "tiny-llama"))
        shard = next(file["path"] for file in result["files"] if "00002" in file["path"])
        os.chmod(shard, 0o644)
        with open(shard, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")
        self.assertIn("00002", self.error(CORRUPT, "inspect", "tiny-llama"))
        self.malina("remove", "tiny-llama")
        self.assertFalse(os.path.exists(os.path.dirname(shard)))

    def test_link(self):
        directory = self.directory()
        result = self.json("import", directory, "--link", "--name", "linked")
        self.assertEqual(result["files"][0]["path"], os.path.join(directory, "config.json"))
        self.assertEqual(self.answer("linked"), self.answer("./tiny-llama"))
        self.malina("remove", "linked")
        self.assertTrue(os.path.exists(os.path.join(directory, "config.json")))

    def test_a_cache_of_links(self):
        """As a hub's client keeps it: the files are links to where they lie under digests."""
        blobs = self.directory(target="blobs")
        snapshot = self.path("models--Some--Tiny-Llama/snapshots/" + "0" * 40)
        os.makedirs(snapshot)
        for number, name in enumerate(sorted(os.listdir(blobs))):
            os.rename(os.path.join(blobs, name), os.path.join(blobs, str(number)))
            os.symlink(os.path.join(blobs, str(number)), os.path.join(snapshot, name))
        before = self.answer(snapshot)
        self.assertEqual(self.json("import", snapshot)["name"], "tiny-llama")
        shutil.rmtree(blobs)
        self.assertEqual(self.answer("tiny-llama"), before)

    def test_more_templates_come_along(self):
        directory = self.directory()
        os.mkdir(os.path.join(directory, "additional_chat_templates"))
        with open(os.path.join(directory, "additional_chat_templates", "short.jinja"), "w") as file:
            file.write("{{ messages[0]['content'] }}")
        result = self.json("import", directory)
        self.assertTrue(result["files"][-1]["path"].endswith("additional_chat_templates/short.jinja"))
        names = [chat["name"] for chat in self.json("inspect", "tiny-llama")["templates"]]
        self.assertEqual(names, ["", "short"])

    def test_quantize(self):
        self.directory("qwen3")
        self.malina("quantize", "./tiny-llama", "small.gguf", "--to", "q8_0")
        report = self.json("inspect", "small.gguf")
        self.assertEqual(report["family"], "qwen3")
        self.assertEqual(self.output("tokenize", "small.gguf", "the 12", "--ids"),
                         self.output("tokenize", "./tiny-llama", "the 12", "--ids"))

    def test_what_is_no_model(self):
        os.mkdir(self.path("empty"))
        for command in (("import", "./empty"), ("inspect", "./empty"), ("tokenize", "./empty", "x")):
            self.assertIn("is a directory without config.json", self.error(USAGE, *command))
        self.error(NOT_FOUND, "inspect", "empty")
        directory = self.directory()
        self.change(directory, architectures=["BertModel"])
        self.assertIn("'BertModel'", self.error(UNSUPPORTED, "import", directory))
        self.change(directory, architectures=["LlamaForCausalLM"], hidden_size=-1)
        self.assertIn("hidden_size", self.error(CORRUPT, "import", directory))
        self.change(directory, hidden_size=64)
        os.truncate(os.path.join(directory, "model.safetensors"), 1000)
        self.assertIn("model.safetensors", self.error(CORRUPT, "import", directory))
        os.rename(os.path.join(directory, "model.safetensors"),
                  os.path.join(directory, "pytorch_model.bin"))
        self.assertIn("Python pickle", self.error(UNSUPPORTED, "import", directory))
        self.assertFalse(os.path.exists(self.home), "nothing is made for what is no model")


if __name__ == "__main__":
    program.main()
