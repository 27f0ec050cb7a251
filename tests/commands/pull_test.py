"""malina pull against a server on this machine that cuts, lies, redirects, stalls and refuses."""

import hashlib
import os
import re
import resource
import signal
import subprocess
import time

import gguf_file
import model_server
import program
from program import CANCELLED, CORRUPT, EXISTS, IO, NOT_FOUND, UNSUPPORTED, USAGE


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class PullTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.server = model_server.Server()
        self.addCleanup(self.server.close)

    def environment(self, **more):
        return super().environment(**{"http_proxy": "http://127.0.0.1:1", **more})

    def model(self, hidden=32, **options):
        with open(gguf_file.write_model(self.path("served.gguf"), hidden=hidden, **options), "rb") as file:
            data = file.read()
        os.remove(self.path("served.gguf"))
        return data

    def downloads(self):
        """The files under downloads/, without the locks."""
        found = []
        for folder, _, files in os.walk(os.path.join(self.home, "downloads")):
            found += [os.path.join(folder, file) for file in files if file != "lock"]
        return sorted(found)

    def part(self):
        return [file for file in self.downloads() if file.endswith(".part")][0]

    def assert_nothing_left(self):
        super().assert_nothing_left()
        self.assertEqual(self.downloads(), [])


class UrlTest(PullTest):
    def test_a_file_by_its_address(self):
        data = self.model()
        url = self.server.put("/models/Tiny-1M.Q4_0.gguf?signature=secret", data)
        self.assertIn("pulled tiny-1m (", self.output("pull", url))
        model = self.json("list")["models"][0]
        self.assertEqual(model["digest"], sha256(data))
        self.assertEqual(model["source"], url.split("?")[0])
        self.assertEqual(self.downloads(), [])
        self.assertIn("intact", self.output("verify", "tiny-1m"))
        self.malina("tokenize", "tiny-1m", "hello")
        self.assertIn("already there", self.output("pull", url))

    def test_the_report(self):
        data = self.model()
        url = self.server.put("/a.gguf", data)
        report = self.json("pull", url, "--name", "x:1", "--sha256", sha256(data))
        self.assertEqual((report["name"], report["url"], report["already_there"]), ("x:1", url, False))
        self.assertEqual((report["downloaded_bytes"], report["resumed_bytes"]), (len(data), 0))
        count = len(self.server.requests)
        self.assertTrue(self.json("pull", url, "--name", "x:1", "--sha256", sha256(data))["already_there"])
        self.assertEqual(len(self.server.requests), count, "a digest that is there is not downloaded")

    def test_a_name_that_says_nothing_is_taken_from_the_model(self):
        url = self.server.put("/model.gguf", self.model(name="Tiny Of The Test!"))
        self.assertEqual(self.json("pull", url)["name"], "tiny-of-the-test")

    def test_what_is_no_address(self):
        for what in ("ftp://example.org/x", "http://example.org/x.gguf", "https://u:p@example.org/x",
                     "https://", "https://a b/", "x", "", "file:///etc/passwd", "https://0x7f.1/x",
                     "https://example.org:0/x", "https://example.org/\x01", "https://exämple.org/"):
            message = self.error(USAGE, "pull", what)
            self.assertNotIn("u:p", message)
        self.assertIn("https", self.error(USAGE, "pull", "http://192.0.2.1/x.gguf"))
        self.error(USAGE, "pull", self.server.url("/x"), "--sha256", "12")
        self.error(USAGE, "pull", self.server.url("/x"), "--allow-host", "a/b")
        self.error(USAGE, "pull", self.server.url("/x"), "--name", "A B")
        self.error(USAGE, "pull", self.server.url("/x"), "--timeout", "0")
        self.assertEqual(self.server.requests, [])
        self.assertFalse(os.path.exists(self.home))

    def test_what_is_no_model(self):
        url = self.server.put("/page.gguf", b"<html>sign in</html>" * 100000)
        self.assertIn("begins with '<htm'", self.error(CORRUPT, "pull", url))
        url = self.server.put("/broken.gguf", self.model()[:1000])
        self.error(CORRUPT, "pull", url)
        url = self.server.put("/family.gguf", self.model(architecture="mamba"))
        self.assertIn("mamba", self.error(UNSUPPORTED, "pull", url))
        self.assert_nothing_left()

    def test_refusals(self):
        for status, code, word in ((401, IO, "HF_TOKEN"), (403, IO, "licence"), (404, NOT_FOUND, "404"),
                                   (410, NOT_FOUND, "410"), (418, IO, "418")):
            self.server.files["/x.gguf"] = model_server.Served(b"no", status=status)
            self.server.requests.clear()
            self.assertIn(word, self.error(code, "pull", self.server.url("/x.gguf")))
            self.assertEqual(len(self.server.requests), 1, "no second try")
        self.assert_nothing_left()


if __name__ == "__main__":
    program.main()
