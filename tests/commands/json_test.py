"""JSON keys are an interface: docs/reference/json.md lists them, and this holds both to each other."""

import os
import re
import sqlite3

import commands_page
import gguf_file
import model_server
import program

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tiny")
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/reference/json.md")


def documented():
    """{command: {key paths}} of the page's tables: a line "| `key` | ..." below "## malina command"."""
    sections, current = {}, None
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            if heading := re.match(r"## malina ([\w ]+)", line):
                current = sections.setdefault(heading.group(1).strip(), set())
            elif current is not None and (row := re.match(r"\| `([^`]+)` \|", line)):
                current.add(row.group(1))
    return sections


def key_paths(value, path=""):
    """The paths of all leaves: a.b, a[].b; an empty list counts as a leaf a[]."""
    if path.endswith("top_logprobs[]"):
        return {path}  # its keys are tokens
    if isinstance(value, dict) and value:
        return set().union(*(key_paths(v, f"{path}.{k}" if path else k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union({f"{path}[]"} if not value else set(),
                           *(key_paths(v, f"{path}[]") for v in value))
    return {path}


class DocumentedKeys:
    """check() for a TestCase."""

    maxDiff = None

    def check(self, command, *values):
        """Of several answers together, so that what is null in one is seen in another."""
        seen = set().union(*(key_paths(value) for value in values))
        # "a" beside "a.b": the object was null in one answer.
        seen = {key for key in seen if not any(
            other.startswith(key + ".") or other.startswith(key + "[") for other in seen)}
        seen = {key for key in seen if not (
            key.endswith("[]") and any(other.startswith(key + ".") for other in seen))}
        self.assertEqual(seen, documented()[command], f"malina {command} --json and {PAGE}")


class JsonTest(DocumentedKeys, program.ProgramTest):
    def test_store(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        self.check("import", self.json("import", file))
        self.check("list", self.json("list"))
        self.check("verify", self.json("verify", "tiny"))
        self.check("remove", self.json("remove", "tiny"))

    def test_pull(self):
        server = model_server.Server()
        self.addCleanup(server.close)
        with open(gguf_file.write_model(self.path("tiny.gguf")), "rb") as file:
            url = server.put("/tiny.gguf", file.read())
        data = server.files["/tiny.gguf"].data
        model_server.Hub(server, "owner/tiny", {"a.gguf": data, "b.gguf": data})
        several = self.malina("pull", "hf:owner/tiny", "--from", server.url(""), "--json",
                              code=program.USAGE).stdout
        self.check("pull", self.json("pull", url), program.json.loads(several))

    def test_tokenize(self):
        file = gguf_file.write_vocabulary(self.path("words.gguf"))
        self.check("tokenize", self.json("tokenize", file, "hello"))
        lines = self.malina("tokenize", file, "--json", "--lines", input=b"hello\n\xff\n").stdout
        answers = [program.json.loads(line) for line in lines.splitlines()]
        self.assertEqual([answer["count"] for answer in answers], [1, 1])

    def test_quantize(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        self.check("quantize", self.json("quantize", file, "first.gguf", "--to", "q4_0"),
                   self.json("quantize", "first.gguf", "second.gguf", "--to", "q8_0"))

    def test_convert(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        self.malina("quantize", file, "small.gguf", "--to", "q8_0")
        self.check("convert", self.json("convert", "small.gguf", "directory"),
                   self.json("convert", "directory", "back.gguf"))

    def test_inspect(self):
        self.check("inspect", self.json("inspect", gguf_file.write_model(self.path("tiny.gguf"))))

    def test_families(self):
        report = self.json("families")
        self.check("families", report)
        names = [family["name"] for family in report["families"]]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"llama", "mistral", "mixtral", "phi2", "gemma3", "qwen2"}, set(names))

    def test_info(self):
        self.check("info", self.json("info"))

    def test_config(self):
        file = self.path("malina.toml")
        with open(file, "w", encoding="utf-8") as config:
            config.write('[serve]\nmodels = ["a"]\n')
        self.check("config show", self.json("config", "show", "--config", file))

    def test_generation(self):
        model = os.path.join(GOLDEN, "untied_f32.gguf")
        few = ["--max-tokens", "3", "--context", "64"]
        self.check("run", self.json("run", model, "hello", *few))
        self.check("complete", self.json("complete", model, "hello", "--logprobs", "2", "--echo", *few))
        with open(self.path("text"), "w", encoding="ascii") as file:
            file.write("hello hello")
        self.check("perplexity", self.json("perplexity", model, "text"))
        self.check("bench", self.json("bench", model, "--prefill", "1", "--decode", "1",
                                      "--repetitions", "1"))

    def test_data(self):
        lines = [f"text {i * 7919} and {i * 104729},{'ab'[i % 2]}" for i in range(20)]
        with open(self.path("train.csv"), "w", encoding="ascii") as file:
            file.write("\n".join(["text,label", *lines, lines[0], lines[1][:-1] + "a", "short",
                                  "write to a@b.org please,a", "hello hello,a"]) + "\n")
        with open(self.path("test.jsonl"), "w", encoding="ascii") as file:
            for i in range(10):
                file.write(f'{{"text": "Which?\\nText: text {i * 7919} and {i * 104729}\\nIt is:", '
                           '"label": "a", "licence": "CC0", "slots": [{"start": 0, "end": 5, '
                           '"type": "t"}]}\n')
        vocabulary = gguf_file.write_vocabulary(self.path("words.gguf"))
        arguments = ["data", "check", "train.csv", "--test", "test.jsonl"]
        reports = [program.json.loads(self.malina(*arguments, *more, "--json",
                                                  code=program.CORRUPT).stdout)
                   for more in ([], ["--model", vocabulary, "--max-tokens", "1"])]
        with open(self.path("doubtful.csv"), "w", encoding="ascii") as file:
            file.write("text,label\n")
            for i in range(40):
                file.write(f"{'card was lost' if i % 2 else 'loan for a house'} {i * 7919},"
                           f"{'card' if i % 2 or i == 8 else 'loan'}\n")
        self.check("data check", *reports,
                   self.json("data", "check", "doubtful.csv", "--wrong-labels"))
        self.check("data split", self.json("data", "split", "doubtful.csv", "--test", "10%"))

    def test_decide(self):
        model = gguf_file.write_model(self.path("tiny.gguf"), context=512)
        with open(self.path("q.json"), "w") as file:
            file.write('[{"type": "predicate", "instructions": "x"},'
                       '{"type": "score", "instructions": "x", "levels": ["a", "b"]},'
                       '{"type": "choice", "instructions": "x", "choices": ["a", "b"], "multiple": true},'
                       '{"type": "extract", "instructions": "x"}]')
        # Of random weights: some text where a piece is found, and some where a value applies.
        answers = [self.json("decide", model, text, "--question", "q.json") for text in ("a b c d", "x", "hello")]
        for answer in answers:
            for each in answer["answers"]:
                if "choices" in each and not each["choices"]:
                    each["choices"] = ["a"]
                if "spans" in each and not each["spans"]:
                    each["spans"] = [{"text": "", "start": 0, "end": 0, "start_byte": 0, "end_byte": 0, "probability": 0}]
        self.check("decide", *answers)

    def test_keys(self):
        created = self.json("key", "create", "app", "--model", "prod*")
        self.check("key create", created, self.json("key", "create", "other"))
        rotated = self.json("key", "rotate", created["id"])
        self.check("key rotate", rotated)
        self.check("key list", self.json("key", "list"))
        self.check("key revoke", self.json("key", "revoke", created["id"]))

    def test_aliases(self):
        self.malina("import", gguf_file.write_model(self.path("tiny.gguf")))
        self.check("alias set", self.json("alias", "set", "prod=tiny"))
        self.json("alias", "set", "prod=tiny")
        self.check("alias rollback", self.json("alias", "rollback", "prod"))
        self.check("alias list", self.json("alias", "list"))
        self.check("alias history", self.json("alias", "history", "prod"))
        self.check("alias remove", self.json("alias", "remove", "prod"))

    def test_audit(self):
        self.malina("key", "create", "app")
        lines = self.malina("audit", "tail", "--json").stdout.splitlines()
        self.check("audit tail", *[program.json.loads(line) for line in lines])
        intact = self.json("audit", "verify")
        connection = sqlite3.connect(os.path.join(self.home, "malina.db"))
        connection.execute("UPDATE audit SET record = 'x'")
        connection.commit()
        connection.close()
        broken = self.malina("audit", "verify", "--json", code=program.CORRUPT).stdout
        self.check("audit verify", intact, program.json.loads(broken))

    def test_each_command_with_json_is_on_the_page(self):
        reporting = {" ".join(words) for words in commands_page.commands(program.PROGRAM)
                     if "--json " in self.output(*words, "--help").split("Examples:")[0]}
        self.assertLessEqual({"import", "list", "info", "inspect"}, reporting)
        # "tune of conversations", "tune as a dry run": a command may have a table for each kind of answer.
        self.assertEqual({re.split(" of | as ", command)[0] for command in documented()}, reporting)


class InspectTest(program.ProgramTest):
    def test_it_tells_what_the_file_says(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        report = self.json("inspect", file)
        self.assertEqual(report["family"], "llama")
        self.assertIn("general.architecture", report["family_reason"])
        self.assertEqual(report["licence"], "apache-2.0")
        self.assertEqual(report["size_bytes"], os.path.getsize(file))
        self.assertEqual(report["sizes"]["width"], 64)
        self.assertEqual(report["sizes"]["kv_heads"], 2)
        self.assertTrue(report["sizes"]["tied"])
        self.assertEqual(report["encodings"], [{
            "name": "f32", "tensors": 11, "parameters": report["parameters"],
            "bytes": 4 * report["parameters"], "share": 1.0}])
        self.assertEqual(report["tokenizer"]["eos"], {"id": 2, "piece": "<|im_end|>"})
        self.assertEqual(report["templates"][0]["bytes"], len(gguf_file.CHAT_TEMPLATE))

    def test_memory_grows_with_the_context(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        memory = [self.json("inspect", file, "--context", str(n), "--kv", "f32")["memory"]
                  for n in (32, 64)]
        # One layer, keys and values, 2 heads of 16, four bytes.
        self.assertEqual([m["cache_bytes"] for m in memory], [32 * 256, 64 * 256])
        for m in memory:
            self.assertEqual(m["total_bytes"],
                             m["weight_bytes"] + m["cache_bytes"] + m["activation_bytes"])
        self.assertIn("does NOT fit", self.output("inspect", file, "--context", "900000000"))
        for wrong in ("0", "-1", "x", "99999999999999"):
            self.error(program.USAGE, "inspect", file, "--context", wrong)
        self.error(program.USAGE, "inspect", file, "--kv", "f64")

    def test_a_model_that_cannot_run_is_described_all_the_same(self):
        file = gguf_file.write_model(self.path("other.gguf"), architecture="mamba")
        report = self.json("inspect", file)
        self.assertEqual(report["architecture"], "mamba")
        self.assertIsNone(report["family"])
        self.assertIn("mamba", report["family_reason"])
        self.assertIn("cannot be run", self.output("inspect", file))


if __name__ == "__main__":
    program.main()
