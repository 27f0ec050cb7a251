"""malina pull hf:OWNER/REPO, with honest and hostile listings."""

import os
import pty
import re
import subprocess

import gguf_file
import model_server
import program
import pull_program
from program import CANCELLED, CORRUPT, EXISTS, IO, NOT_FOUND, UNSUPPORTED, USAGE
from pull_program import sha256


class HubTest(pull_program.PullTest):
    def setUp(self):
        super().setUp()
        self.data = self.model()

    def hub(self, files, name="owner/tiny-GGUF", **options):
        return model_server.Hub(self.server, name, files, **options)

    def environment(self, **more):
        return super().environment(**{"HF_ENDPOINT": self.server.url(""), **more})

    def test_the_only_gguf(self):
        self.hub({"README.md": b"hello", "tiny-1m.Q4_0.gguf": self.data})
        report = self.json("pull", "hf:owner/tiny-GGUF")
        self.assertEqual((report["name"], report["digest"]), ("tiny-1m", sha256(self.data)))
        self.assertEqual(report["source"], self.server.url(
            f"/owner/tiny-GGUF/resolve/{'a' * 40}/tiny-1m.Q4_0.gguf"))
        count = len(self.server.requests)
        self.assertTrue(self.json("pull", "hf:owner/tiny-GGUF")["already_there"])
        self.assertEqual(len(self.server.requests), count + 1, "the listing alone")
        self.assertEqual(self.downloads(), [])

    def test_several(self):
        self.hub({"tiny.Q4_0.gguf": self.data, "tiny Q8_0's.gguf": self.model(name="B"), "c.bin": b""})
        result = self.malina("pull", "hf:owner/tiny-GGUF", code=USAGE)
        self.assertIn("has 2 GGUF models", result.stderr.decode())
        lines = [re.split("  +", line.strip())[0] for line in result.stdout.decode().splitlines()]
        self.assertEqual(len(lines), 2)
        for line in lines:  # each can be typed as it stands
            command = line.replace("malina", program.PROGRAM, 1)
            subprocess.run(["sh", "-c", command], check=True, env=self.environment(),
                           stdout=subprocess.DEVNULL)
        self.assertEqual(len(self.json("list")["models"]), 2)
        report = program.json.loads(self.malina("pull", "hf:owner/tiny-GGUF", "--json", code=USAGE).stdout)
        self.assertEqual({c["what"]: c["size_bytes"] for c in report["choices"]}[
            "hf:owner/tiny-GGUF:tiny.Q4_0.gguf"], len(self.data))
        self.malina("pull", "hf:owner/tiny-GGUF:q4_0", "--name", "x")
        self.assertIn("did you mean 'tiny.Q4_0.gguf'",
                      self.error(NOT_FOUND, "pull", "hf:owner/tiny-GGUF:tiny.Q4_1.gguf"))

    def test_asked_at_a_terminal(self):
        self.hub({"tiny.Q4_0.gguf": self.data, "tiny.Q8_0.gguf": self.model(name="B")})
        for answer, code in ((b"2\n", 0), (b"9\n", USAGE), (b"x\n", USAGE), (b"\x04", CANCELLED)):
            controller, terminal = pty.openpty()
            process = subprocess.Popen([program.PROGRAM, "pull", "hf:owner/tiny-GGUF", "--name", "x"],
                                       stdin=terminal, stderr=terminal, stdout=subprocess.DEVNULL,
                                       env=self.environment(TERM="xterm"))
            os.close(terminal)
            asked = b""
            while b"Which one" not in asked:
                asked += os.read(controller, 4096)
            os.write(controller, answer)
            self.assertEqual(process.wait(timeout=60), code)
            os.close(controller)
        self.assertNotEqual(self.json("list")["models"][0]["digest"], sha256(self.data))

    def test_a_split_one(self):
        files = {}
        for part in gguf_file.write_split_model(self.folder, "big"):
            with open(part, "rb") as file:
                files["sub/" + os.path.basename(part)] = file.read()
            os.remove(part)
        self.hub(files)
        report = self.json("pull", "hf:owner/tiny-GGUF")
        self.assertEqual((report["name"], len(report["files"])), ("big", 3))
        self.assertEqual([file["digest"] for file in report["files"]],
                         [sha256(data) for data in files.values()])
        self.assertTrue(self.json("pull", "hf:owner/tiny-GGUF")["already_there"])
        self.malina("remove", "big")
        # A cut in the second part: the first is not loaded again.
        paths = [f"/owner/tiny-GGUF/resolve/{'a' * 40}/{path}" for path in files]
        second = self.server.files[paths[1]]
        second.cut_after, second.times = 1000, 1
        self.error(IO, "pull", "hf:owner/tiny-GGUF", "--retries", "0")
        self.server.requests.clear()
        report = self.json("pull", "hf:owner/tiny-GGUF")
        self.assertEqual(report["resumed_bytes"], len(list(files.values())[0]) + 1000)
        self.assertNotIn(paths[0], [path for path, _ in self.server.requests])

    def test_a_revision(self):
        self.hub({"tiny.gguf": self.data}, revision="v%2F1", commit="c" * 40)
        self.assertIn("c" * 40, self.json("pull", "hf:owner/tiny-GGUF@v/1")["url"])
        self.error(NOT_FOUND, "pull", "hf:owner/tiny-GGUF")

    def test_from_a_mirror(self):
        self.hub({"tiny.gguf": self.data})
        environment = self.environment(HF_ENDPOINT="https://hub.invalid")
        self.malina("pull", "hf:owner/tiny-GGUF", "--from", self.server.url("/"), environment=environment)
        self.error(USAGE, "pull", self.server.url("/x"), "--from", self.server.url("/"))
        self.error(USAGE, "pull", "hf:a/b", "--from", "http://192.0.2.1")
        self.error(USAGE, "pull", "hf:a/b", "--from", "x")

    def test_pages(self):
        hub = self.hub({"b.txt": b"", "tiny.gguf": self.data})
        first, second = ("/api/models/owner/tiny-GGUF/tree/main?recursive=true", "/page2?x=1")
        self.server.put(first, program.json.dumps(hub.entries[:1]).encode(),
                        headers={"Link": f'<{self.server.url(second)}>; rel="next"'})
        self.server.put(second, program.json.dumps(hub.entries[1:]).encode(),
                        headers={"X-Repo-Commit": "a" * 40})
        self.malina("pull", "hf:owner/tiny-GGUF")
        self.server.files[first].headers["Link"] = '<https://192.0.2.1/>; rel="next"'
        self.assertIn("another host", self.error(CORRUPT, "pull", "hf:owner/tiny-GGUF"))

    def test_references(self):
        for what in ("hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/b:", "hf:a/b:../c", "hf:a/b@", "hf:a/b?x"):
            self.assertIn("hf:OWNER/REPO", self.error(USAGE, "pull", what))
        self.assertEqual(self.server.requests, [])

    def test_hostile_listings(self):
        listing = "/api/models/owner/tiny-GGUF/tree/main?recursive=true"
        entry = '{"type":"file","path":%s,"size":10}'
        for path in ('"../../evil.gguf"', '"/etc/passwd"', '"a\\u0000b.gguf"', '"a\\u001b[2Jb.gguf"',
                     '"a/../b.gguf"', '"a\\\\b.gguf"', '5', 'null', f'"{"x" * 600}.gguf"'):
            self.server.put(listing, f"[{entry % path}]".encode())
            self.assertNotIn("\x1b", self.error(CORRUPT, "pull", "hf:owner/tiny-GGUF"))
        for body in (b"", b"<html>", b"{}", b"[" * 1000000, b'[{"a":' * 100000, b"\xff\xfe"):
            self.server.put(listing, body)
            self.error(CORRUPT, "pull", "hf:owner/tiny-GGUF")
        self.server.put(listing, b"[" + b" " * 10_000_000 + b"]")
        self.assertIn("longer than 8 MiB", self.error(UNSUPPORTED, "pull", "hf:owner/tiny-GGUF"))
        self.server.put(listing, b"[]")
        self.assertIn("neither", self.error(NOT_FOUND, "pull", "hf:owner/tiny-GGUF"))
        self.server.put(listing, b"no", status=401)
        self.assertIn("HF_TOKEN", self.error(IO, "pull", "hf:owner/tiny-GGUF"))
        self.assertFalse(os.path.exists(self.home))

    def test_a_listing_that_lies(self):
        hub = self.hub({"tiny.gguf": self.data})
        listing = self.server.files["/api/models/owner/tiny-GGUF/tree/main?recursive=true"]
        for key, value in (("size", 10), ("size", len(self.data) + 1), ("oid", "0" * 64)):
            entry = program.json.loads(program.json.dumps(hub.entries[0]))
            entry["lfs"][key] = value
            listing.data = program.json.dumps([entry]).encode()
            self.error(CORRUPT, "pull", "hf:owner/tiny-GGUF")
            self.assert_nothing_left()
        message = self.error(CORRUPT, "pull", "hf:owner/tiny-GGUF", "--sha256", "1" * 64)
        self.assertIn("1" * 64, message)

    def test_a_name_that_is_taken_is_found_before_the_download(self):
        self.hub({"tiny.gguf": self.data})
        with open(self.path("tiny.gguf"), "wb") as file:
            file.write(self.model(name="Another"))
        self.malina("import", "tiny.gguf")
        self.server.requests.clear()
        self.assertIn("--name", self.error(EXISTS, "pull", "hf:owner/tiny-GGUF"))
        self.assertEqual(len(self.server.requests), 1)

    def test_a_damaged_model_is_mended(self):
        self.hub({"tiny.gguf": self.data})
        file = self.json("pull", "hf:owner/tiny-GGUF")["files"][0]["path"]
        os.remove(file)
        report = self.json("pull", "hf:owner/tiny-GGUF")
        self.assertEqual((report["already_there"], report["downloaded_bytes"]), (False, len(self.data)))
        self.malina("verify", "tiny")

    def test_a_safetensors_model(self):
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/families_hf/mixtral_ties")
        files = {}
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
        self.hub(files)
        report = self.json("pull", "hf:owner/tiny-GGUF")
        self.assertEqual({os.path.basename(file["path"]) for file in report["files"]}, set(files))
        self.assertEqual(self.output("tokenize", report["name"], "the 12", "--ids"),
                         self.output("tokenize", folder, "the 12", "--ids"))
        self.assertIn("intact", self.output("verify", report["name"]))

    def test_a_safetensors_directory_that_is_no_model(self):
        """The files arrive; what import says to a directory is import's own matter."""
        files = {"config.json": b"{}", "model.safetensors": b"\x02" + bytes(7) + b"{}",
                 "tokenizer.json": b"{}", "README.md": b""}
        self.hub(files)
        result = subprocess.run([program.PROGRAM, "pull", "hf:owner/tiny-GGUF"], capture_output=True,
                                env=self.environment())
        self.assertIn(result.returncode, (USAGE, CORRUPT, UNSUPPORTED), result.stderr)
        asked = {os.path.basename(path) for path, _ in self.server.requests[1:]}
        self.assertEqual(asked, {"config.json", "model.safetensors", "tokenizer.json"})


if __name__ == "__main__":
    program.main()
