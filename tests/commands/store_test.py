"""import, list, remove and verify, with everything that can be wrong with a file, a name or a disk."""

import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

import gguf_file
import program
from program import CORRUPT, EXISTS, IO, NOT_FOUND, UNSUPPORTED, USAGE


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(
            hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


def drop_privileges():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


class StoreTest(program.ProgramTest):
    def model(self, file="tiny.gguf", **options):
        return gguf_file.write_model(self.path(file), **options)

    def test_import_list_verify_remove(self):
        file = self.model("Tiny-1M.Q4_0.gguf")
        self.assertIn("imported tiny-1m", self.output("import", file))
        listed = self.json("list")["models"]
        self.assertEqual([model["name"] for model in listed], ["tiny-1m"])
        self.assertEqual(listed[0]["digest"], sha256(file))
        self.assertEqual(listed[0]["files"][0]["digest"], sha256(listed[0]["files"][0]["path"]))
        self.assertIn("tiny-1m", self.output("list"))
        self.assertEqual(self.output("list", "--names"), "tiny-1m\n")
        self.assertIn("intact", self.output("verify", "tiny-1m"))
        self.assertIn("removed tiny-1m", self.output("remove", "tiny-1m"))
        self.assert_nothing_left()
        self.assertTrue(os.path.exists(file))

    def test_a_name_that_says_nothing_is_taken_from_the_model(self):
        self.model("ggml-model-f16.gguf", name="Tiny Of The Test!")
        self.assertEqual(
            self.json("import", "ggml-model-f16.gguf")["name"], "tiny-of-the-test")

    def test_importing_again_is_no_error(self):
        file = self.model()
        self.malina("import", file)
        self.assertIn("already there", self.output("import", file))
        self.assertTrue(self.json("import", file)["already_there"])

    def test_a_taken_name_is_an_error_with_a_way_out(self):
        self.malina("import", self.model("a.gguf"), "--name", "x")
        other = self.model("b.gguf", name="Another")
        self.assertIn("--name", self.error(EXISTS, "import", other, "--name", "x"))
        self.malina("import", other, "--name", "x:second")
        self.assertEqual(self.output("list", "--names"), "x\nx:second\n")

    def test_names(self):
        file = self.model()
        for name in ("A", "a/b", "../a", ".a", "a b", "a:", "a:b:c", "é", "-", "x" * 129):
            self.error(USAGE, "import", file, "--name", name)
        self.assertIn("try 'my-model'", self.error(USAGE, "import", file, "--name", "My Model"))
        self.malina("import", file, "--name", "a.b_c-1:v2")
        self.assertIn("did you mean 'a.b_c-1:v2'", self.error(NOT_FOUND, "remove", "a.b_c-1:v3"))
        self.assertIn("there is a.b_c-1:v2", self.error(NOT_FOUND, "verify", "zzzzzzzz"))

    def test_without_models_the_error_says_how_to_get_one(self):
        self.assertIn("malina import FILE", self.error(NOT_FOUND, "verify", "x"))
        self.assertIn("malina import FILE", self.output("list"))
        self.assertFalse(os.path.exists(self.home))

    def test_what_is_no_model(self):
        file = self.model()
        size = os.path.getsize(file)
        cut = self.path("cut.gguf")
        for length in (0, 3, 4, 23, 100, size // 2, size - 1):
            shutil.copy(file, cut)
            os.truncate(cut, length)
            self.assertIn(cut, self.error(CORRUPT, "import", cut))
        with open(self.path("page.gguf"), "w") as page:
            page.write("<html>404 Not Found</html>\n" * 100)
        self.assertIn("page.gguf", self.error(CORRUPT, "import", "page.gguf"))
        self.assertIn("directory", self.error(USAGE, "import", self.folder))
        self.assertIn("device", self.error(USAGE, "import", "/dev/zero"))
        os.mkfifo(self.path("pipe"))
        self.assertIn("pipe", self.error(USAGE, "import", "pipe"))
        self.assertIn("none.gguf", self.error(NOT_FOUND, "import", "none.gguf"))
        self.assertIn("FILE", self.error(USAGE, "import"))
        self.assertFalse(os.path.exists(self.home), "nothing is made for what is no model")

    def test_what_cannot_run(self):
        gguf_file.write_model(self.path("a.gguf"), architecture="mamba")
        self.assertIn("mamba", self.error(UNSUPPORTED, "import", "a.gguf"))
        gguf_file.write_model(self.path("b.gguf"), template="a\n\n{{ messages | frobnicate }}")
        message = self.error(UNSUPPORTED, "import", "b.gguf")
        self.assertIn("line 3", message)
        self.assertIn("frobnicate", message)
        gguf_file.write(self.path("c.gguf"), gguf_file.model_metadata(),
                        gguf_file.model_tensors()[:-1])
        self.assertIn("blk.0.ffn_down.weight", self.error(CORRUPT, "import", "c.gguf"))
        shapes = [(name, [64, 200] if name == "token_embd.weight" else shape)
                  for name, shape in gguf_file.model_tensors()]
        gguf_file.write(self.path("e.gguf"), gguf_file.model_metadata(), shapes)
        self.assertIn("token_embd.weight 200 rows", self.error(CORRUPT, "import", "e.gguf"))
        metadata = [item for item in gguf_file.model_metadata() if "tokenizer.ggml" not in item[0]]
        gguf_file.write(self.path("d.gguf"), metadata, gguf_file.model_tensors())
        self.assertIn("tokenizer.ggml.model", self.error(CORRUPT, "import", "d.gguf"))
        self.assertFalse(os.path.exists(self.home))

    def test_a_vocabulary_alone_can_be_imported(self):
        gguf_file.write_vocabulary(self.path("words.gguf"))
        self.malina("import", "words.gguf")
        self.assertEqual(self.output("tokenize", "words", "hello", "--ids"), "262\n")

    def test_a_link_stays_with_its_user(self):
        file = self.model()
        self.malina("import", file, "--link", "--name", "linked")
        self.assertEqual(self.stored(), ([], []))
        model = self.json("list")["models"][0]
        self.assertTrue(model["linked"])
        self.assertEqual(model["files"][0]["path"], os.path.realpath(file))
        os.utime(file, (1, 1))
        self.assertIn("malina verify linked", self.error(CORRUPT, "tokenize", "linked", "x"))
        self.assertIn("touched", self.output("verify", "linked"))
        self.malina("tokenize", "linked", "x")
        self.malina("remove", "linked")
        self.assertTrue(os.path.exists(file))

    def test_a_link_becomes_a_copy_when_it_is_imported_without(self):
        file = self.model()
        self.malina("import", file, "--link", "--name", "x")
        self.assertIn("already", self.output("import", file, "--link", "--name", "x"))
        self.assertFalse(self.json("import", file, "--name", "x")["linked"])
        os.remove(file)
        self.malina("tokenize", "x", "hello")

    def test_a_home_that_may_not_be_entered(self):
        self.malina("import", self.model(), "--name", "x")
        os.chmod(self.folder, 0o755)
        os.chmod(self.home, 0o700)
        for command in (["list"], ["tokenize", "x", "hello"]):
            message = self.error(IO, *command, preexec_fn=drop_privileges)
            self.assertIn("Permission denied", message)

    def test_split_models(self):
        parts = gguf_file.write_split_model(self.folder, "big")
        result = self.json("import", parts[1])
        self.assertEqual(result["name"], "big")
        digests = "".join(sha256(part) + "\n" for part in parts)
        self.assertEqual(result["digest"], hashlib.sha256(digests.encode()).hexdigest())
        self.assertEqual([file["digest"] for file in result["files"]], [sha256(p) for p in parts])
        for part in parts:
            os.remove(part)
        self.malina("inspect", "big")
        stored = result["files"][2]["path"]
        os.chmod(stored, 0o600)
        with open(stored, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"x")
        report = self.malina("verify", "big", "--json", code=CORRUPT).stdout
        states = [file["state"] for file in program.json.loads(report)["files"]]
        self.assertEqual(states, ["intact", "intact", "changed"])
        self.malina("remove", "big")
        self.assert_nothing_left()
        # One part alone is not a model.
        parts = gguf_file.write_split_model(self.folder, "half")
        os.remove(parts[2])
        self.assertIn("half-00003-of-00003.gguf", self.error(NOT_FOUND, "import", parts[0]))

    def test_verify_says_what_differs(self):
        self.malina("import", self.model(), "--name", "x")
        stored = self.json("list")["models"][0]["files"][0]["path"]
        size = os.path.getsize(stored)
        os.chmod(stored, 0o600)
        with open(stored, "ab") as file:
            file.write(b"more")
        result = self.malina("verify", "x", code=CORRUPT).stdout.decode()
        self.assertIn(f"{size + 4:,} bytes instead of {size:,}", result)
        self.assertIn(f"sha256 {sha256(stored)} instead of", result)
        self.assertIn(f"has {size + 4} bytes instead of {size}", self.error(CORRUPT, "inspect", "x"))
        os.remove(stored)
        self.assertIn("missing", self.malina("verify", "x", code=CORRUPT).stdout.decode())
        self.error(NOT_FOUND, "inspect", "x")
        self.malina("import", "tiny.gguf", "--name", "x")
        self.assertIn("intact", self.output("verify", "x"))

    def test_a_home_that_cannot_be_made(self):
        file = self.model()
        with open(self.path("occupied"), "w"):
            pass
        environment = self.environment(MALINA_HOME=self.path("occupied"))
        self.assertIn("occupied", self.error(IO, "import", file, environment=environment))
        environment = self.environment(MALINA_HOME="/proc/malina")
        self.error(NOT_FOUND if not os.path.isdir("/proc/malina") else IO, "import", file,
                   environment=environment)

    def test_a_database_that_is_none(self):
        os.makedirs(self.home)
        with open(os.path.join(self.home, "malina.db"), "w") as file:
            file.write("not a database\n" * 1000)
        self.assertIn("malina.db", self.error(CORRUPT, "list"))


class FullDiskTest(program.ProgramTest):
    def test_a_file_system_without_room(self):
        """A real one of a few hundred kilobytes where this user may mount, and a limit everywhere."""
        self.check_limit()
        mount = self.path("disk")
        os.makedirs(mount)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "none", mount],
                              capture_output=True)
        if made.returncode != 0:
            return
        try:
            self.check_small_disk(mount)
        finally:
            subprocess.run(["umount", mount], check=True)

    def check_limit(self):
        model = gguf_file.write_model(self.path("limited.gguf"), hidden=2000)
        size = os.path.getsize(model) // 2
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        self.assertIn("cannot write", self.error(IO, "import", model, preexec_fn=limit))
        self.assert_nothing_left()
        self.malina("import", model)
        self.malina("remove", "limited")

    def check_small_disk(self, mount):
        self.home = os.path.join(mount, "home")
        small = gguf_file.write_model(self.path("small.gguf"))
        large = gguf_file.write_model(self.path("large.gguf"), hidden=2000)
        self.malina("import", small)
        message = self.error(IO, "import", large)
        self.assertRegex(message, r"not enough space in .*: the model needs \d+ bytes and \d+ are free")
        self.assertIn(str(os.path.getsize(large)), message)
        self.assertEqual(self.output("list", "--names"), "small\n")
        self.assertEqual(self.stored()[1], [])
        self.assertEqual(len(self.stored()[0]), 1)
        # To the last byte: what is there stays usable, and there is still a clear error.
        with open(os.path.join(mount, "filler"), "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass
        self.assertRegex(self.error(IO, "import", large), "space|full")
        self.assertEqual(self.output("list", "--names"), "small\n")
        self.malina("tokenize", "small", "hello")
        os.remove(os.path.join(mount, "filler"))
        self.malina("verify", "small")
        self.malina("remove", "small")
        self.assertEqual(self.stored(), ([], []))


class CrashTest(program.ProgramTest):
    HIDDEN = 150_000  # about 115 MB, so that a kill falls into the copying

    def test_killed_at_any_moment(self):
        model = gguf_file.write_model(self.path("large.gguf"), hidden=self.HIDDEN)
        started = time.monotonic()
        self.malina("import", model)
        whole = time.monotonic() - started
        self.malina("remove", "large")
        moments = random.Random(1)
        outcomes = set()
        for _ in range(15):
            process = subprocess.Popen([program.PROGRAM, "import", model], env=self.environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(moments.uniform(0, 1.1) * whole)
            process.send_signal(signal.SIGKILL)
            process.wait()
            names = self.output("list", "--names")
            outcomes.add(names)
            placed, unfinished = self.stored()
            self.assertEqual(unfinished, [], "the next start clears up")
            if names:
                self.assertEqual(names, "large\n")
                self.malina("verify", "large")
                self.malina("remove", "large")
            else:
                self.assertEqual(placed, [], "files without a record")
        self.assertIn("", outcomes)
        self.malina("import", model)
        self.malina("verify", "large")

    def test_interrupted(self):
        model = gguf_file.write_model(self.path("large.gguf"), hidden=self.HIDDEN)
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([program.PROGRAM, "import", model], env=self.environment(),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            work = os.path.join(self.home, "models", "unfinished")
            while not (os.path.isdir(work) and os.listdir(work)):
                self.assertIsNone(process.poll(), "it ended before it could be interrupted")
                time.sleep(0.001)
            process.send_signal(number)
            _, error = process.communicate(timeout=60)
            self.assertEqual(process.returncode, program.CANCELLED)
            self.assertEqual(error, b"malina: stopped on request\n")
            self.assert_nothing_left()

    def test_many_at_once(self):
        model = gguf_file.write_model(self.path("m.gguf"), hidden=5000)
        names = ["same"] * 4 + [f"own-{i}" for i in range(4)]
        processes = [
            subprocess.Popen([program.PROGRAM, "import", model, "--name", name],
                             env=self.environment(), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) for name in names
        ]
        for process in processes:
            output = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, output)
        self.assertEqual(self.output("list", "--names").split(), sorted(set(names)))
        placed, unfinished = self.stored()
        self.assertEqual((len(placed), unfinished), (1, []))
        removals = [
            subprocess.Popen([program.PROGRAM, "remove", name], env=self.environment(),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for name in sorted(set(names))
        ]
        for process in removals:
            output = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, output)
        self.assert_nothing_left()


if __name__ == "__main__":
    program.main()
