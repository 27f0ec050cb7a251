"""malina tune --method full: all weights of a small model, which is a model of its own afterwards."""

import json
import os
import signal
import subprocess
import time

import program
from program import EXISTS, PROGRAM, UNSUPPORTED, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden")


def chats(count):
    """Conversations of which the answer follows from the question."""
    return "".join(json.dumps({"messages": [
        {"role": "user", "content": f"number {i * 7 % 100} of {('apple', 'plum')[i % 2]}"},
        {"role": "assistant", "content": ("red", "blue")[i % 2]}]}) + "\n" for i in range(count))


class TuneFullTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("chats.jsonl", chats(120))
        self.json("import", os.path.join(GOLDEN, "tiny/q4_1.gguf"), "--name", "tiny")

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, *parts):
        with open(os.path.join(self.path(parts[0]), *parts[1:]), "rb") as file:
            return file.read()

    def arguments(self, suffix, *more):
        return ("tune", "--model", "tiny", "--data", "chats.jsonl", "--suffix", suffix, "--method", "full",
                "--batch", "8", "--epochs", "3", "--learning-rate", "0.003", *more)

    def answer(self, model, question):
        return self.output("run", model, question, "--temperature", "0", "--max-tokens", "8").strip()

    def test_a_model_of_its_own_that_needs_no_base(self):
        report = self.json(*self.arguments("colours"))
        self.assertEqual(report["name"], "tiny-colours")
        self.assertLess(report["after"]["loss"], report["before"]["loss"] / 4)
        self.assertEqual([files for _, _, files in os.walk(os.path.join(self.home, "tuned")) if files], [])
        self.output("remove", "tiny")
        self.assertEqual(self.answer("tiny-colours", "number 33 of apple"), "red")
        self.assertEqual(self.answer("tiny-colours", "number 34 of plum"), "blue")
        self.assertIn("f32", self.output("inspect", "tiny-colours"))
        self.assertIn("tiny-colours", self.output("list"))

    def test_the_same_name_again_only_when_it_was_tuned(self):
        self.output(*self.arguments("colours"))
        self.assertIn("--force", self.error(EXISTS, *self.arguments("colours")))
        self.write("chats.jsonl", chats(120).replace("red", "gold"))
        text = self.output(*self.arguments("colours", "--force"))
        self.assertIn("as trained", text)
        self.assertEqual(self.answer("tiny-colours", "number 33 of apple"), "gold")
        self.json("import", os.path.join(GOLDEN, "tiny/untied_f32.gguf"), "--name", "tiny-mine")
        self.assertIn("nothing that was tuned", self.error(EXISTS, *self.arguments("mine", "--force")))

    def test_a_directory_and_a_file_with_their_cards(self):
        self.output(*self.arguments("x", "--output", "out"))
        self.assertIn(b"All weights of tiny", self.read("out", "README.md"))
        manifest = json.loads(self.read("out", "malina-model.json"))
        self.assertEqual((manifest["encoding"], manifest["recipe"]["full"]), ("f32", True))
        self.assertTrue(manifest["report"]["training"]["files"][0].startswith("sha256:"))
        self.assertEqual(json.loads(self.read("out", "config.json"))["torch_dtype"], "float32")
        self.output(*self.arguments("x", "--output", "out.gguf"))
        self.assertIn(b"All weights of tiny", self.read("out.gguf"))
        for place in ("./out", "./out.gguf"):
            self.assertEqual(self.answer(place, "number 33 of apple"), "red")
            self.assertEqual(self.answer(place, "number 34 of plum"), "blue")
            self.assertIn("--force", self.error(EXISTS, *self.arguments("x", "--output", place)))
        self.assertNotIn("tiny-x", self.output("list"))
        self.assertEqual([name for name in os.listdir(self.folder) if "snapshot" in name or "part" in name], [])

    def test_the_same_bytes_for_any_threads_and_after_a_kill(self):
        weights = ("model.safetensors",)
        self.output(*self.arguments("x", "--output", "one", "--threads", "1"))
        self.output(*self.arguments("x", "--output", "two", "--threads", "2"))
        self.assertEqual(self.read("one", *weights), self.read("two", *weights))
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
        self.assertEqual(self.read("one", *weights), self.read("three", *weights))

    def test_a_dry_run_counts_and_leaves_nothing(self):
        plan = self.json(*self.arguments("x", "--dry-run"))
        parts = {part["name"]: part["bytes"] for part in plan["memory"]}
        self.assertEqual(parts["two moments of AdamW"], 2 * parts["weights in float32"])
        self.assertEqual(plan["peak_bytes"], sum(parts.values()))
        self.assertEqual(plan["steps"], 14 * 3)
        self.assertEqual(plan["stages"][-1]["name"], "training of all weights")
        self.assertGreater(plan["seconds"], 0)
        self.assertIn("gradients", self.output(*self.arguments("x", "--dry-run")))
        self.assertNotIn("tiny-x", self.output("list"))

    def test_what_it_cannot_do_is_said(self):
        done = subprocess.run([PROGRAM, *self.arguments("x", "--rank", "4", "--fast")], cwd=self.folder,
                              env=self.environment(), capture_output=True, check=True)
        self.assertEqual(done.stderr.decode(), "Without effect on --method full: --rank, --fast\n")
        self.json("import", os.path.join(GOLDEN, "families/mixtral.gguf"), "--name", "experts")
        arguments = list(self.arguments("x"))
        arguments[2] = "experts"
        self.assertIn("Mixtral", self.error(UNSUPPORTED, *arguments))
        self.write("chats.jsonl", "".join(json.dumps({"text": f"t {i}", "label": "ab"[i % 2]}) + "\n" for i in range(40)))
        self.assertIn("--method full", self.error(USAGE, *self.arguments("y")))


if __name__ == "__main__":
    program.main()
