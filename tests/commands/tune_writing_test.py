"""malina tune on conversations: the model learns to write, and its adapter answers at once."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import json_test
import program
from program import CORRUPT, EXISTS, PROGRAM, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tiny")
ADAPTER = "adapter_model.safetensors"


def chats(count):
    """Conversations of which the answer follows from the question."""
    return "".join(json.dumps({"messages": [
        {"role": "user", "content": f"number {i * 7 % 100} of {('apple', 'plum')[i % 2]}"},
        {"role": "assistant", "content": ("red", "blue")[i % 2]}]}) + "\n" for i in range(count))


class TuneWritingTest(json_test.DocumentedKeys, program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("chats.jsonl", chats(160))
        self.json("import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny")

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def arguments(self, suffix, *more):
        return ("tune", "--model", "tiny", "--data", "chats.jsonl", "--suffix", suffix, "--rank", "4",
                "--batch", "8", "--epochs", "4", "--learning-rate", "0.01", *more)

    def test_a_dry_run_leaves_nothing_behind(self):
        before = sorted(os.walk(self.home))
        plan = self.json(*self.arguments("x", "--dry-run"))
        self.assertEqual([stage["name"] for stage in plan["stages"]],
                         ["the base on the validation rows", "training of the adapter"])
        self.assertEqual((plan["steps"], plan["epochs"], plan["batch"]), (72, 4, 8))
        longer = self.json(*self.arguments("x", "--dry-run", "--curve"))
        self.assertEqual(longer["stages"][-1]["name"], "learning curve of the adapter")
        self.assertIn("vocabulary head", [part["name"] for part in plan["memory"]])
        self.assertEqual(sum(part["bytes"] for part in plan["memory"]), plan["peak_bytes"])
        shown = self.output(*self.arguments("x", "--dry-run"))
        for text in ("144 training and 16 validation rows", "at its peak", "72 steps of 8 texts", "Nothing was written"):
            self.assertIn(text, shown)
        self.assertEqual(sorted(os.walk(self.home)), before)

    def answer(self, model, question):
        return self.output("run", model, question, "--temperature", "0", "--max-tokens", "8").strip()

    def test_it_answers_as_it_was_taught(self):
        report = self.json(*self.arguments("colours", "--curve", "--search"))
        self.check("tune of conversations", report)
        rates = [trial["learning_rate"] for trial in report["search"][:4]]
        self.assertEqual([round(rate / 0.01, 6) for rate in rates], [0.5, 1, 2, 5])
        curve, = report["learning_curves"]
        self.assertEqual([point["rows"] for point in curve["points"]], [18, 36, 72, 144])
        self.assertAlmostEqual(curve["points"][-1]["error"], 1 - report["after"]["token_accuracy"], places=6)
        self.assertEqual(report["task"], "generation")
        self.assertEqual((report["training"]["rows"], report["validation"]["rows"]), (144, 16))
        self.assertLess(report["after"]["loss"], report["before"]["loss"] / 4)
        self.assertIn("tiny:colours", self.output("list"))
        self.assertEqual(self.answer("tiny:colours", "number 33 of apple"), "red")
        self.assertEqual(self.answer("tiny:colours", "number 34 of plum"), "blue")
        self.assertNotIn(self.answer("tiny", "number 33 of apple"), ("red", "blue"))
        self.assertEqual([files for _, _, files in os.walk(os.path.join(self.home, "tuned")) if files], [])
        # The same name again: only when asked, and then the new one answers.
        self.assertIn("--force", self.error(EXISTS, *self.arguments("colours")))
        self.write("chats.jsonl", chats(160).replace("red", "gold"))
        text = self.output(*self.arguments("colours", "--force", "--curve"))
        self.assertIn("with the adapter", text)
        self.assertIn("200 more rows ≈ ", text)
        self.assertNotIn("Search for the learning rate", text)
        self.write("chats.jsonl", chats(30))
        few = subprocess.run([PROGRAM, *self.arguments("few", "--curve")], cwd=self.folder, env=self.environment(),
                             capture_output=True, text=True, timeout=300)
        self.assertEqual(few.returncode, 0, few.stderr)
        self.assertIn("No learning curve of the adapter: too few rows", few.stderr)
        self.assertEqual(self.answer("tiny:colours", "number 33 of apple"), "gold")
        self.output("adapter", "export", "tiny:colours", "out")
        self.assertIn("malina-adapter.json", os.listdir(self.path("out")))

    def test_one_that_does_not_write_as_certified_is_refused(self):
        self.output(*self.arguments("colours", "--output", "out"))
        def changed(name, file, change):
            shutil.copytree(self.path("out"), self.path(name))
            with open(os.path.join(self.path(name), file), encoding="utf-8") as opened:
                text = opened.read()
            self.assertNotEqual(change(text), text)
            self.write(os.path.join(name, file), change(text))
            self.output("import", name, "--base", "tiny", "--name", f"tiny:{name}")
            return self.error(CORRUPT, "run", f"tiny:{name}", "number 33 of apple")

        message = changed("scaled", "adapter_config.json", lambda text: re.sub(
            r'("lora_alpha": *)([0-9.]+)', lambda found: found[1] + str(float(found[2]) / 3), text))
        self.assertIn("does not write as it did when it was tuned", message)
        self.assertIn("row ", message)
        self.assertNotIn("apple", message)  # nothing of the data
        message = changed("other", "certificate.json", lambda text: text.replace("apple", "prune"))
        self.assertIn("is not the one that the manifest beside it names", message)
        self.output("import", "out", "--base", "tiny", "--name", "tiny:same")
        self.assertEqual(self.answer("tiny:same", "number 33 of apple"), "red")

    def test_completions_and_validation_files(self):
        rows = "".join(json.dumps({"prompt": f"n {i} =", "completion": " yes" if i % 2 else " no"}) + "\n"
                       for i in range(40))
        self.write("chats.jsonl", rows)
        self.write("more.jsonl", rows[:400].rsplit("\n", 1)[0] + "\n")
        report = self.json(*self.arguments("plain", "--validation", "more.jsonl", "--output", "out/"))
        self.assertFalse(report["validation_from_training"])
        self.assertEqual(report["training"]["rows"], 40)
        self.assertIn(ADAPTER, os.listdir(self.path("out")))
        self.assertNotIn("plain", self.output("list"))

    def test_the_same_bytes_for_any_threads_and_after_a_kill(self):
        def digest(path):
            with open(os.path.join(self.path(path), ADAPTER), "rb") as file:
                return file.read()

        self.output(*self.arguments("x", "--output", "one", "--threads", "1"))
        self.output(*self.arguments("x", "--output", "two", "--threads", "2"))
        self.assertEqual(digest("one"), digest("two"))
        command = [PROGRAM, *self.arguments("x", "--output", "three")]
        for _ in range(20):
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if os.path.exists(self.path("three.snapshot")):
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.002)
            process.wait()
            if os.path.exists(self.path("three")):
                break
        else:
            self.output(*command[1:])
        self.assertEqual(digest("one"), digest("three"))

    def test_nothing_else_of_its_name_is_lost(self):
        rows = "text,label\n" + "".join(f"order {i} of {('pie', 'soup')[i % 2]},{('a', 'b')[i % 2]}\n" for i in range(80))
        self.write("rows.csv", rows)
        classify = ("tune", "--model", "tiny", "--data", "rows.csv", "--method", "linear")
        self.output(*classify, "--suffix", "same")
        for force in ((), ("--force",)):
            self.assertIn("tuned classifier", self.error(EXISTS, *self.arguments("same", *force)))
        self.output("decide", "tiny:same", "order 3 of pie")
        self.output(*self.arguments("colours"))
        self.assertIn("model in the store", self.error(EXISTS, *classify, "--suffix", "colours", "--force"))
        self.output("alias", "set", "tiny:prod=tiny")
        self.assertIn("an alias", self.error(EXISTS, *classify, "--suffix", "prod"))
        self.assertIn("'tiny:Big'", self.error(USAGE, *classify, "--suffix", "Big"))
        self.assertIn("snapshot", self.error(USAGE, *classify, "--suffix", "same.snapshot"))
        # --force replaces what was tuned, and only that.
        os.makedirs(self.path("thesis"))
        self.write("thesis/notes.txt", "years of work")
        self.assertIn("nothing that was tuned", self.error(
            USAGE, *classify, "--suffix", "x", "--output", "thesis", "--force"))
        self.output(*classify, "--suffix", "same.old")
        self.output(*classify, "--suffix", "same", "--force")
        self.output("decide", "tiny:same.old", "order 3 of pie")
        self.assertEqual([name for name in os.listdir(os.path.join(self.home, "tuned"))
                          if name.startswith(".tiny")], [])

    def test_wrong_input(self):
        self.write("chats.jsonl", chats(5))
        self.assertIn("too few", self.error(USAGE, *self.arguments("x")))
        self.write("chats.jsonl", chats(20) + '{"messages":[{"role":"user","content":"only asked"}]}\n')
        self.assertIn("line 21", self.error(USAGE, *self.arguments("x")))
        self.write("chats.jsonl", chats(20) + json.dumps({"messages": [
            {"role": "user", "content": "word " * 100}, {"role": "assistant", "content": "y"}]}) + "\n")
        self.assertIn("--skip-long", self.error(USAGE, *self.arguments("x", "--max-tokens", "60")))
        report = self.json(*self.arguments("x", "--max-tokens", "60", "--skip-long"))
        self.assertEqual(report["training"]["too_long"], 1)
        self.assertIn("classifier", self.error(USAGE, *self.arguments("y", "--method", "probe")))
        self.assertIn("classifier", self.error(USAGE, *self.arguments("y", "--test", "chats.jsonl")))
        self.assertIn("--model", self.error(USAGE, "tune", "--data", "chats.jsonl", "--suffix", "x"))


if __name__ == "__main__":
    program.main()
