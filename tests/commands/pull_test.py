"""malina pull against a server on this machine that cuts, lies, redirects, stalls and refuses."""

import ctypes
import hashlib
import os
import platform
import pty
import re
import resource
import signal
import struct
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


class ResumeTest(PullTest):
    FAST = ("--retries", "0")

    def setUp(self):
        super().setUp()
        self.data = self.model(hidden=4000)  # about 3 MB
        self.cut = len(self.data) * 43 // 100

    def test_a_cut_is_mended_in_the_same_run(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.assertEqual(self.json("pull", url)["digest"], sha256(self.data))
        ranges = [headers.get("Range") for headers in self.server.files["/a.gguf"].asked]
        self.assertEqual(ranges, [None, f"bytes={self.cut}-"])

    def test_a_second_pull_goes_on(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.assertIn("42 % is kept, and the same command goes on",
                      self.error(IO, "pull", url, *self.FAST))
        self.assertEqual(os.path.getsize(self.part()), self.cut)
        self.assertEqual(self.json("list"), {"models": []})
        self.assertIn("resumed at 42 %", self.output("pull", url))
        second = self.server.files["/a.gguf"].asked[1]
        self.assertEqual(second["If-Range"], self.server.files["/a.gguf"].etag)
        self.assertEqual(self.json("list")["models"][0]["digest"], sha256(self.data))
        self.assertEqual(self.downloads(), [])

    def test_a_server_that_knows_no_ranges(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, ranges=False)
        report = self.json("pull", url)
        self.assertEqual((report["digest"], report["resumed_bytes"]), (sha256(self.data), 0))

    def test_another_file_under_the_same_address(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.error(IO, "pull", url, *self.FAST)
        other = self.model(hidden=4000, name="Another")
        self.server.put("/a.gguf", other)
        self.assertEqual(self.json("pull", url)["digest"], sha256(other))

    def test_another_file_from_a_server_that_ignores_if_range(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.error(IO, "pull", url, *self.FAST)
        other = self.model(hidden=4000, name="Another")

        def careless(handler):
            if "If-Range" in handler.headers:
                del handler.headers["If-Range"]
            return served
        served = model_server.Served(other)
        self.server.files["/a.gguf"] = careless
        self.assertEqual(self.json("pull", url)["digest"], sha256(other))

    def test_without_a_validator_it_begins_anew(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, etag="")
        self.assertNotIn("kept", self.error(IO, "pull", url, *self.FAST))
        self.assertEqual(self.json("pull", url)["resumed_bytes"], 0)
        # Where the digest is known it proves the whole in the end.
        self.malina("remove", "a")
        digest = ("--sha256", sha256(self.data))
        self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, etag="")
        self.assertIn("kept", self.error(IO, "pull", url, *self.FAST, *digest))
        self.assertEqual(self.json("pull", url, *digest)["resumed_bytes"], self.cut)

    def test_a_part_that_was_tampered_with(self):
        digest = ("--sha256", sha256(self.data))
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.error(IO, "pull", url, *self.FAST, *digest)
        with open(self.part(), "r+b") as file:
            file.seek(1000)
            file.write(b"tampered")
        self.assertIn(f"instead of {sha256(self.data)}", self.error(CORRUPT, "pull", url, *digest))
        self.assert_nothing_left()
        self.malina("pull", url, *digest)

    def test_a_state_that_is_damaged(self):
        for state in (b"", b"{", b"[]", b'{"validator": 1, "size": -1}', b"\xff" * 100000):
            url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
            self.error(IO, "pull", url, *self.FAST)
            with open(self.part().replace(".part", ".state"), "wb") as file:
                file.write(state)
            self.assertEqual(self.json("pull", url)["digest"], sha256(self.data))
            self.malina("remove", "a")

    def test_a_part_longer_than_the_file(self):
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1)
        self.error(IO, "pull", url, *self.FAST)
        with open(self.part(), "ab") as file:
            file.write(bytes(len(self.data)))
        self.assertEqual(self.json("pull", url)["digest"], sha256(self.data))

    def test_a_wrong_content_range_is_refused(self):
        size = len(self.data)
        for wrong in (f"bytes 0-{size - 1}/{size}", f"bytes {self.cut + 1}-{size - 1}/{size}",
                      f"bytes {self.cut}-{size - 1}/{size + 1}", "nonsense", "bytes */*"):
            url = self.server.put("/a.gguf", self.data, cut_after=self.cut, content_range=wrong, times=2)
            self.assertEqual(self.json("pull", url)["digest"], sha256(self.data), wrong)
            ranges = [headers.get("Range") for headers in self.server.files["/a.gguf"].asked]
            self.assertEqual(ranges, [None, f"bytes={self.cut}-", None], wrong)
            self.malina("remove", "a")

    def test_a_stall_ends_after_the_timeout(self):
        url = self.server.put("/a.gguf", self.data, stall_after=self.cut)
        started = time.monotonic()
        message = self.error(IO, "pull", url, "--timeout", "1", *self.FAST)
        self.assertIn("nothing arrived for 1 s", message)
        self.assertIn("42 % is kept", message)
        self.assertLess(time.monotonic() - started, 20)
        self.server.files["/a.gguf"].times = 0
        self.assertEqual(self.json("pull", url)["resumed_bytes"], self.cut)

    def test_servers_that_are_busy(self):
        for status in (429, 500, 502, 503, 504):
            url = self.server.put("/a.gguf", self.data, status=status, times=1,
                                  headers={"Retry-After": "1"})
            self.malina("pull", url)
            self.assertEqual(len(self.server.files["/a.gguf"].asked), 2)
            self.malina("remove", "a")
        self.server.put("/a.gguf", self.data, status=503)
        self.assertIn("503", self.error(IO, "pull", url, "--retries", "1"))
        self.assertEqual(len(self.server.files["/a.gguf"].asked), 2)
        self.server.put("/a.gguf", self.data, status=429, headers={"Retry-After": "3600"})
        self.assertIn("in 3600 s", self.error(IO, "pull", url))

    def start(self, url, *arguments):
        process = subprocess.Popen([program.PROGRAM, "pull", url, *arguments], env=self.environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        deadline = time.monotonic() + 60
        while not any(file.endswith(".part") and os.path.getsize(file) for file in self.downloads()):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        return process

    def test_killed_and_resumed(self):
        url = self.server.put("/a.gguf", self.data, slow=0.02)
        for _ in range(3):
            process = self.start(url)
            time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertEqual(self.json("list"), {"models": []})
        self.server.files["/a.gguf"].slow = 0
        report = self.json("pull", url)
        self.assertEqual(report["digest"], sha256(self.data))
        self.assertGreater(report["resumed_bytes"], 0)

    def test_stopped_on_request(self):
        url = self.server.put("/a.gguf", self.data, stall_after=self.cut)
        process = self.start(url)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), CANCELLED)
        self.assertRegex(process.stderr.read().decode(), r"^malina: stopped on request; \d+ % is kept, "
                         r"and the same command goes on from there\n$")
        self.server.files["/a.gguf"].times = 0
        self.assertGreater(self.json("pull", url)["resumed_bytes"], 0)

    def test_two_at_once(self):
        url = self.server.put("/a.gguf", self.data, stall_after=self.cut)
        process = self.start(url)
        self.assertIn("by another process", self.error(IO, "pull", url))
        other = self.server.put("/b.gguf", self.model(name="B"))
        self.malina("pull", other)
        process.kill()
        process.wait()
        self.server.files["/a.gguf"].times = 0
        self.malina("pull", url)


class LieTest(PullTest):
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


class RedirectTest(PullTest):
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


class HubTest(PullTest):
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

    def test_a_safetensors_directory(self):
        """The files arrive; what import says to a directory is import's own matter."""
        files = {"config.json": b"{}", "model.safetensors": b"\x02" + bytes(7) + b"{}",
                 "tokenizer.json": b"{}", "README.md": b"", "evil/../x": b""}
        del files["evil/../x"]
        self.hub(files)
        result = subprocess.run([program.PROGRAM, "pull", "hf:owner/tiny-GGUF"], capture_output=True,
                                env=self.environment())
        self.assertIn(result.returncode, (USAGE, CORRUPT, UNSUPPORTED), result.stderr)
        asked = {os.path.basename(path) for path, _ in self.server.requests[1:]}
        self.assertEqual(asked, {"config.json", "model.safetensors", "tokenizer.json"})


class TlsTest(PullTest):
    def setUp(self):
        super().setUp()
        certificate, key = self.path("certificate.pem"), self.path("key.pem")
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=malina test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
             certificate], capture_output=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.secure = model_server.Server((certificate, key))
        self.addCleanup(self.secure.close)
        self.url = self.secure.put("/a.gguf", self.model())
        self.trusting = self.environment(SSL_CERT_FILE=certificate, no_proxy="*")

    def test_a_certificate_must_be_known(self):
        self.assertRegex(self.error(IO, "pull", self.url), "[Cc]ertificate|peer")
        self.assertEqual(self.secure.requests, [])
        self.malina("pull", self.url, environment=self.trusting)
        trusting = self.environment(CURL_CA_BUNDLE=self.trusting["SSL_CERT_FILE"], no_proxy="*")
        self.malina("pull", self.url, environment=trusting)

    def test_it_must_be_of_the_host(self):
        url = self.url.replace("127.0.0.1", "localhost")
        self.error(IO, "pull", url, environment=self.trusting)

    def test_no_way_leads_out_of_encryption(self):
        self.secure.redirect("/b.gguf", self.server.put("/a.gguf", self.model()))
        message = self.error(UNSUPPORTED, "pull", self.secure.url("/b.gguf"), "--allow-host",
                             self.server.host, environment=self.trusting)
        self.assertIn("not https", message)
        self.assertEqual(self.server.requests, [])


class ProxyTest(PullTest):
    """Hosts of the world by name: a proxy leads them all to one server on this machine."""

    def setUp(self):
        super().setUp()
        certificate, key = self.path("certificate.pem"), self.path("key.pem")
        names = "DNS:hub.test,DNS:*.hub.test,DNS:other.test"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=malina test", "-addext", f"subjectAltName={names}", "-keyout", key, "-out",
                        certificate], capture_output=True, check=True)
        self.secure = model_server.Server((certificate, key))
        self.addCleanup(self.secure.close)
        self.proxy = model_server.Proxy(self.secure)
        self.addCleanup(self.proxy.close)
        self.certificate = certificate
        self.data = self.model()

    def environment(self, **more):
        return super().environment(**{"https_proxy": self.proxy.url, "SSL_CERT_FILE": self.certificate,
                                      "HF_ENDPOINT": "https://hub.test", "HF_TOKEN": "hf_token", **more})

    def test_a_hub_behind_a_proxy(self):
        model_server.Hub(self.secure, "owner/tiny", {"tiny.gguf": self.data})
        path = f"/owner/tiny/resolve/{'a' * 40}/tiny.gguf"
        self.secure.put("/content?signature=secret", self.data)
        self.secure.redirect(path, "https://cdn-lfs.hub.test/content?signature=secret")
        report = self.json("pull", "hf:owner/tiny")
        self.assertEqual(report["source"], "https://hub.test" + path)
        self.assertEqual({host for host, _ in self.proxy.asked}, {"hub.test:443", "cdn-lfs.hub.test:443"})
        for _, headers in self.proxy.asked:
            self.assertNotIn("Authorization", headers, "the proxy sees no token")
        tokens = [headers.get("Authorization") for _, headers in self.secure.requests]
        self.assertEqual(tokens, ["Bearer hf_token", "Bearer hf_token", None])

    def test_hosts_that_are_not_allowed_are_not_asked(self):
        self.secure.put("/real.gguf", self.data)
        url = "https://hub.test/a.gguf"
        for target in ("https://other.test/real.gguf", "https://nothub.test/real.gguf",
                       "https://hub.test.other.test/real.gguf", "https://hub.test:444/real.gguf",
                       "https://10.0.0.1/real.gguf", "https://[fd00::1]/real.gguf",
                       "https://169.254.169.254/latest/meta-data", "http://hub.test/real.gguf",
                       self.server.put("/real.gguf", self.data)):
            self.secure.redirect("/a.gguf", target)
            self.error(UNSUPPORTED, "pull", url)
        self.assertEqual({host for host, _ in self.proxy.asked}, {"hub.test:443"})
        self.assertEqual(self.server.requests, [])
        self.secure.redirect("/a.gguf", "https://other.test/real.gguf")
        self.malina("pull", url, "--allow-host", "other.test")
        self.assertNotIn("Authorization", self.secure.requests[-1][1])

    def test_a_proxy_that_is_not_there(self):
        environment = self.environment(https_proxy="http://127.0.0.1:1")
        self.error(IO, "pull", "https://hub.test/a.gguf", "--retries", "0", environment=environment)
        self.assertEqual(self.secure.requests, [])

    def test_this_machine_itself_is_asked_without_a_proxy(self):
        self.malina("pull", self.server.put("/a.gguf", self.data),
                    environment=self.environment(http_proxy=self.proxy.url))
        self.assertEqual(self.proxy.asked, [])


class OfflineTest(PullTest):
    def test_the_door_is_closed(self):
        url = self.server.put("/a.gguf", self.model())
        for value in ("1", "true", "yes", "no"):
            message = self.error(UNSUPPORTED, "pull", url, environment=self.environment(MALINA_OFFLINE=value))
            self.assertIn("MALINA_OFFLINE", message)
            self.assertIn("malina import", message)
        os.makedirs(self.home)
        closed = os.path.join(self.home, "offline")
        with open(closed, "w"):
            pass
        self.assertIn(closed, self.error(UNSUPPORTED, "pull", url))
        self.assertEqual(self.server.requests, [])
        os.remove(closed)
        for value in ("", "0", "false"):
            self.malina("pull", url, environment=self.environment(MALINA_OFFLINE=value))

    def test_without_the_library(self):
        """A file under its name that is none: the program runs, and says what to install."""
        for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
            with open(self.path(name), "wb") as file:
                file.write(b"no library" * 1000)
        environment = self.environment(LD_LIBRARY_PATH=self.folder)
        message = self.error(UNSUPPORTED, "pull", self.server.url("/a.gguf"), environment=environment)
        self.assertIn("apt install libcurl4", message)
        self.malina("info", environment=environment)


class OnlyDoorTest(PullTest):
    """No command but pull loads libcurl or makes a socket: the kernel would end it."""

    KILLED = -signal.SIGSYS

    @staticmethod
    def forbid_sockets():
        """A seccomp filter: socket(2) ends the process. False where the kernel cannot."""
        class Program(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
        number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
        allow, kill = 0x7FFF0000, 0x80000000
        # Load the number of the call; if it is socket's, kill; otherwise allow.
        instructions = b"".join(struct.pack("<HBBI", *each) for each in (
            (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, kill), (0x06, 0, 0, allow)))
        buffer = ctypes.create_string_buffer(instructions)
        libc = ctypes.CDLL(None, use_errno=True)
        no_new_privileges, set_seccomp, by_filter = 38, 22, 2
        program_struct = Program(len(instructions) // 8, ctypes.addressof(buffer))
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
                set_seccomp, by_filter, ctypes.byref(program_struct), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")

    def run_watched(self, *arguments):
        log = self.path("loaded")
        environment = self.environment(LD_DEBUG="files", LD_DEBUG_OUTPUT=log)
        result = subprocess.run([program.PROGRAM, *arguments], capture_output=True, cwd=self.folder,
                                env=environment, input=b"", preexec_fn=self.forbid_sockets, timeout=300)
        loaded = ""
        for name in [name for name in os.listdir(self.folder) if name.startswith("loaded")]:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                loaded += file.read()
            os.remove(self.path(name))
        self.assertIn("libc.so", loaded)
        return result.returncode, "libcurl" in loaded

    def test_it_is_pull(self):
        url = self.server.put("/a.gguf", self.model())
        self.assertEqual(self.run_watched("pull", url), (self.KILLED, True))
        self.assertEqual(self.server.requests, [])

    def test_and_nothing_else(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        with open(self.path("text"), "w", encoding="ascii") as text:
            text.write("hello hello")
        calls = [("import", file), ("list",), ("verify", "tiny"), ("inspect", "tiny"), ("families",),
                 ("tokenize", "tiny", "hello"), ("run", "tiny", "hello", "--max-tokens", "2"),
                 ("complete", "tiny", "hello", "--max-tokens", "2"), ("perplexity", "tiny", "text"),
                 ("bench", "tiny", "--prefill", "1", "--decode", "1", "--repetitions", "1"),
                 ("quantize", "tiny", "out.gguf", "--to", "q8_0"), ("info",), ("completion", "bash"),
                 ("remove", "tiny")]
        for call in calls:
            self.assertEqual(self.run_watched(*call), (0, False), call)
        for command in re.findall(r"^  (\w+)  ", self.output("--help"), re.MULTILINE):
            self.assertEqual(self.run_watched(command, "--help"), (0, False), command)


class TerminalTest(PullTest):
    def test_it_says_where_it_resumes(self):
        data = self.model(hidden=4000)
        url = self.server.put("/a.gguf", data, cut_after=len(data) * 43 // 100, times=1)
        self.error(IO, "pull", url, "--retries", "0")
        self.server.files["/a.gguf"].slow = 0.06  # about two seconds
        controller, terminal = pty.openpty()
        process = subprocess.Popen([program.PROGRAM, "pull", url], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=terminal,
                                   env=self.environment(TERM="xterm"))
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:
            pass  # the other side is closed
        os.close(controller)
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertIn(b"resuming at 42 %", shown)
        self.assertRegex(shown, rb"downloading +\d+ %  \[#*-*\]  [\d.]+ .B/s  \d+ s left")


class FullDiskTest(PullTest):
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
