"""malina pull of one file, against a server that lies, redirects and refuses."""

import os
import resource
import subprocess

import model_server
import program
import pull_program
from program import CORRUPT, IO, NOT_FOUND, UNSUPPORTED, USAGE
from pull_program import sha256


class UrlTest(pull_program.PullTest):
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


class LieTest(pull_program.PullTest):
    def setUp(self):
        super().setUp()
        self.data = self.model(hidden=2000)

    def test_less_than_declared(self):
        url = self.server.put("/a.gguf", self.data, length=len(self.data) + 1000)
        self.error(IO, "pull", url, "--retries", "1", "--timeout", "2")
        self.assertEqual(self.json("list"), {"models": []})

    def test_more_than_declared(self):
        size = len(self.data) // 2
        url = self.server.put("/a.gguf", self.data, length=size)
        self.error(CORRUPT, "pull", url)  # the first half, which is no model
        self.assert_nothing_left()
        url = self.server.put("/b.gguf", self.data, length="none")
        self.server.redirect("/hub.gguf", "/b.gguf", **{"X-Linked-Size": str(size)})
        self.assertIn(f"more than the {size} bytes", self.error(CORRUPT, "pull", self.server.url("/hub.gguf")))
        self.assert_nothing_left()

    def test_a_length_that_nobody_tells(self):
        url = self.server.put("/a.gguf", self.data, length="none")
        self.assertEqual(self.json("pull", url)["digest"], sha256(self.data))
        self.malina("remove", "a")
        self.server.put("/a.gguf", self.data, length="none", cut_after=1000, times=1)
        self.assertEqual(self.json("pull", url)["digest"], sha256(self.data))

    def test_a_wrong_digest(self):
        wrong = "0" * 64
        url = self.server.put("/a.gguf", self.data)
        message = self.error(CORRUPT, "pull", url, "--sha256", wrong)
        self.assertIn(f"has sha256 {sha256(self.data)} instead of {wrong}", message)
        self.assert_nothing_left()
        self.server.redirect("/hub.gguf", "/a.gguf", **{"X-Linked-Etag": f'"{wrong}"'})
        self.assertIn(wrong, self.error(CORRUPT, "pull", self.server.url("/hub.gguf")))
        self.assert_nothing_left()

    def test_compressed_answers(self):
        url = self.server.put("/a.gguf", self.data, headers={"Content-Encoding": "gzip"})
        self.assertIn("compressed", self.error(UNSUPPORTED, "pull", url))

    def test_endless_headers(self):
        url = self.server.put("/a.gguf", self.data, headers={f"X-{i}": "y" * 1000 for i in range(90)})
        self.assertRegex(self.error(UNSUPPORTED, "pull", url), "headers")

    def test_what_is_no_http(self):
        self.server.files["/a.gguf"] = lambda handler: handler.wfile.write(b"hello\r\n" * 100) and None
        self.error(IO, "pull", self.server.url("/a.gguf"), "--retries", "0")

    def test_nobody_there(self):
        port = self.server.server_address[1]
        self.server.close()
        message = self.error(IO, "pull", f"http://127.0.0.1:{port}/a.gguf", "--retries", "1")
        self.assertIn("connect", message)


class RedirectTest(pull_program.PullTest):
    def setUp(self):
        super().setUp()
        self.data = self.model()
        self.other = model_server.Server()
        self.addCleanup(self.other.close)

    def test_on_the_same_host(self):
        self.server.put("/real.gguf", self.data)
        for status in (301, 302, 303, 307, 308):
            for target in ("/real.gguf", self.server.url("/real.gguf"), "real.gguf"):
                url = self.server.redirect("/a.gguf", target)
                self.server.files["/a.gguf"].status = status
                self.malina("pull", url, "--name", "x")

    def test_to_another_host_only_where_it_is_allowed(self):
        url = self.server.redirect("/a.gguf", self.other.put("/real.gguf", self.data))
        message = self.error(UNSUPPORTED, "pull", url)
        self.assertIn(f"--allow-host {self.other.host}", message)
        self.assertEqual(self.other.requests, [])
        self.assert_nothing_left()
        self.malina("pull", url, "--allow-host", self.other.host)

    def test_to_what_is_never_followed(self):
        for target in ("http://example.org/x", "http://192.0.2.1/x", "https://192.0.2.1/x", "file:///etc/passwd",
                       "ftp://127.0.0.1/", "https://localhost/x", "http://localhost:1/x", "//[::1]/x",
                       "https://u:p@127.0.0.1/", "http://2130706433/", "", "https://", "gopher://x/",
                       "\\\\server\\share", "http://127.0.0.1:99999/"):
            url = self.server.redirect("/a.gguf", target)
            self.error(UNSUPPORTED, "pull", url)
        self.assert_nothing_left()

    def test_without_end(self):
        url = self.server.redirect("/a.gguf", "/a.gguf")
        self.assertIn("more than 5 times", self.error(UNSUPPORTED, "pull", url))
        self.assertEqual(len(self.server.requests), 6)

    def test_a_cut_behind_a_redirect_is_resumed(self):
        self.other.put("/real.gguf", self.data, cut_after=5000, times=1)
        url = self.server.redirect("/a.gguf", self.other.url("/real.gguf"))
        self.malina("pull", url, "--allow-host", self.other.host)
        self.assertEqual(self.other.requests[1][1]["Range"], "bytes=5000-")

    def test_the_token_stays_with_its_host(self):
        token = "hf_secret"
        self.server.redirect("/first.gguf", "/second.gguf")
        self.server.redirect("/second.gguf", self.other.put("/real.gguf", self.data))
        environment = self.environment(HF_TOKEN=token, HF_ENDPOINT=self.server.url(""))
        allow = ("--allow-host", self.other.host)
        self.malina("pull", self.server.url("/first.gguf"), *allow, environment=environment)
        for _, headers in self.server.requests:
            self.assertEqual(headers["Authorization"], f"Bearer {token}")
        self.assertNotIn("Authorization", self.other.requests[0][1])
        # Another host than the endpoint gets none at all.
        self.server.requests.clear()
        environment["HF_ENDPOINT"] = self.other.url("")
        self.malina("pull", self.server.url("/first.gguf"), *allow, environment=environment)
        for _, headers in self.server.requests:
            self.assertNotIn("Authorization", headers)

    def test_a_token_is_never_shown(self):
        self.server.put("/a.gguf", self.data, token="right")
        for token in ("wrong-and-secret", "secret\r\nX-Evil: 1", "secret space"):
            environment = self.environment(HF_TOKEN=token, HF_ENDPOINT=self.server.url(""))
            code = IO if token.startswith("wrong") else USAGE
            message = self.error(code, "pull", self.server.url("/a.gguf"), environment=environment)
            self.assertIn("HF_TOKEN", message)
            self.assertNotIn("secret", message)


class FullDiskTest(pull_program.PullTest):
    def test_a_limit(self):
        data = self.model(hidden=2000)
        url = self.server.put("/a.gguf", data)
        half = len(data) // 2
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))
        message = self.error(IO, "pull", url, preexec_fn=limit)
        self.assertIn("cannot write", message)
        self.assertIn("is kept", message)
        self.assertEqual(self.json("pull", url)["resumed_bytes"], half)

    def test_a_small_disk(self):
        mount = self.path("disk")
        os.makedirs(mount)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount], capture_output=True)
        if made.returncode != 0:
            return
        self.addCleanup(subprocess.run, ["umount", mount], check=True)
        self.home = os.path.join(mount, "home")
        data = self.model(hidden=2000)
        url = self.server.put("/a.gguf", data)
        self.assertRegex(self.error(IO, "pull", url), "not enough space .* more bytes are needed")
        self.server.put("/a.gguf", data, length="none")
        message = self.error(IO, "pull", url)
        self.assertIn("the disk is full", message)
        self.assertIn("kept", message)
        # It takes no more room than the model: the download becomes the model.
        small = self.model(hidden=700)
        subprocess.run(["rm", "-r", self.home], check=True)
        self.assertGreater(2 * len(small), 1 << 20)
        self.malina("pull", self.server.put("/small.gguf", small))
        self.malina("verify", "small")


if __name__ == "__main__":
    program.main()
