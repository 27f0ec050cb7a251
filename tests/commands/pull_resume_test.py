"""malina pull against cuts and stalls: in one run, and from one run to the next."""

import os
import pty
import signal
import subprocess
import time

import model_server
import program
import pull_program
from program import CANCELLED, CORRUPT, IO
from pull_program import sha256


class ResumeTest(pull_program.PullTest):
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
        for etag in ("", 'W/"weak"', "no quotes"):
            url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, etag=etag)
            self.assertNotIn("kept", self.error(IO, "pull", url, *self.FAST))
            self.assertEqual(self.json("pull", url, "--name", "a")["resumed_bytes"], 0)
        # Where the digest is known it proves the whole in the end.
        self.malina("remove", "a")
        digest = ("--sha256", sha256(self.data))
        self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, etag="")
        self.assertIn("kept", self.error(IO, "pull", url, *self.FAST, *digest))
        self.assertEqual(self.json("pull", url, *digest)["resumed_bytes"], self.cut)

    def test_a_date_proves_it_where_there_is_no_etag(self):
        date = "Wed, 21 Oct 2015 07:28:00 GMT"
        url = self.server.put("/a.gguf", self.data, cut_after=self.cut, times=1, etag="",
                              headers={"Last-Modified": date})
        self.error(IO, "pull", url, *self.FAST)
        self.assertEqual(self.json("pull", url)["resumed_bytes"], self.cut)
        self.assertEqual(self.server.files["/a.gguf"].asked[1]["If-Range"], date)

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


class TerminalTest(pull_program.PullTest):
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


if __name__ == "__main__":
    program.main()
