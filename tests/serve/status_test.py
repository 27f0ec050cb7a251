"""`malina status`: what it shows of a running server, and what it says where there is none."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import server
import json_test  # found by server, as is program
import program

USAGE, NOT_FOUND, UNSUPPORTED, IO, UNAUTHENTICATED, DENIED = 2, 3, 6, 7, 9, 10
BUSY = {"max_tokens": 400, "temperature": 0, "logit_bias": {"2": -100}}


def screen_of(text, columns=80, rows=24):
    """What a terminal shows after this, as xterm has it: a cursor behind a row that is full stands on
    the row's last character, and the next character goes to the next row."""
    screen = [[" "] * columns for _ in range(rows)]
    row = column = 0
    for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[^\x1b]", text):
        at = min(column, columns - 1)
        if piece == "\x1b[H":
            row = column = 0
        elif piece == "\x1b[K":
            screen[row][at:] = [" "] * (columns - at)
        elif piece == "\x1b[J":
            screen[row][at:] = [" "] * (columns - at)
            screen[row + 1:] = [[" "] * columns for _ in screen[row + 1:]]
        elif piece == "\r":
            column = 0
        elif piece == "\n":
            row = min(row + 1, rows - 1)
        elif len(piece) == 1:
            if column == columns:
                row, column = min(row + 1, rows - 1), 0
            screen[row][column] = piece
            column += 1
    return ["".join(line).rstrip() for line in screen]


class StatusTest(json_test.DocumentedKeys, server.ServerTest):
    def setUp(self):
        super().setUp()
        self.server.complete(max_tokens=5, logit_bias={"2": -100})

    def status(self, *options, code=0):
        result = subprocess.run([program.PROGRAM, "status", *options], capture_output=True,
                                timeout=server.SECONDS, env=self.environment_of_class())
        self.assertEqual(result.returncode, code, result.stderr.decode())
        if code != 0:
            self.assertRegex(result.stderr.decode(), r"\Amalina: [^\n]+\n\Z")
            return result.stderr.decode()
        return result.stdout.decode()

    def numbers(self, *options):
        return json.loads(self.status("--server", self.server.url, "--json", *options))

    def keep_busy(self):
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                self.server.complete(**BUSY)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join()

        self.addCleanup(end)
        return end

    def test_json_says_what_was_done(self):
        before = self.numbers()
        answer = self.server.complete("hello hello", **BUSY).json()
        self.server.get("/v1/models/none")
        after = self.numbers()
        self.check("status", before, after)
        self.assertEqual(after["server"], self.server.url)
        self.assertEqual(after["started_at"], before["started_at"])
        self.assertGreaterEqual(after["uptime_seconds"], before["uptime_seconds"])
        self.assertAlmostEqual(after["recent"]["seconds"], 1, delta=20)
        model, = after["models"]
        self.assertEqual((model["name"], model["state"]), ("tiny", "ready"))
        listed, = self.server.get("/api/ps").json()["models"]
        self.assertEqual(model["memory_bytes"], listed["size"])
        self.assertEqual(after["memory_bytes"], listed["size"])
        self.assertTrue(listed["digest"].startswith(model["digest"]))
        self.assertEqual(model["context_tokens"], self.context)
        self.assertEqual((model["users"], model["running"], model["waiting"], after["running"]), (0, 0, 0, 0))
        self.assertTrue(0 < model["unload_seconds"] <= 300)
        self.assertEqual(model["answer_tokens"] - before["models"][0]["answer_tokens"], 400)
        self.assertGreater(model["pages_capacity"], 0)
        mine = lambda report: [use for use in report["usage"] if self.server.key.startswith(use["key"] + ".")][0]
        for name, key in (("prompt_tokens", "prompt_tokens"), ("answer_tokens", "completion_tokens")):
            self.assertEqual(mine(after)[name] - mine(before)[name], answer["usage"][key])
        count = lambda report: report["latency"]["first_token"]["count"]
        self.assertEqual(count(after) - count(before), 1)
        for latency in after["latency"].values():
            self.assertTrue(0 <= latency["p50_seconds"] <= latency["p99_seconds"])
        self.assertIsNone(after["recent"]["latency"]["first_token"]["p50_seconds"])
        self.assertIn({"route": "/v1/models/{model}", "status": "404", "count": 1}, after["requests"])

    def test_rates_are_of_what_runs_now(self):
        end = self.keep_busy()
        deadline = time.monotonic() + server.SECONDS
        while (now := self.numbers())["running"] == 0 or now["recent"]["answer_tokens_per_second"] == 0:
            self.assertLess(time.monotonic(), deadline)
        self.assertGreater(now["models"][0]["users"], 0)
        self.assertIsNone(now["models"][0]["unload_seconds"])
        end()

    def test_a_page_is_as_wide_as_a_terminal_at_most(self):
        page = self.status("--server", self.server.url)  # no terminal: as with --once
        self.assertNotIn("\x1b", page)
        self.assertLessEqual(max(map(len, page.splitlines())), 80)
        for line in (rf"malina \S+ at {self.server.url}, up \d+", r"MODEL +STATE +MEMORY",
                     r"tiny +ready +[\d.]+ [kM]B", r"time to first token .* \d+\n", r"KEY +MODEL",
                     rf"{self.server.key.split('.')[0]} +tiny +\d+"):
            self.assertRegex(page, line)

    def terminal(self, *options):
        """Runs it in a terminal of 80 by 24. Gives what it wrote, until a text has come so often."""
        main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            [program.PROGRAM, "status", "--server", self.server.url, *options], stdin=other, stdout=other,
            stderr=subprocess.PIPE, env=dict(self.environment_of_class(), TERM="xterm"), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.addCleanup(os.close, main)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.modes = lambda: termios.tcgetattr(other)
        self.addCleanup(os.close, other)
        text = b""

        def until(expected, times=1):
            nonlocal text
            end = time.monotonic() + server.SECONDS
            while text.count(expected) < times:
                self.assertLess(time.monotonic(), end, text)
                if select.select([main], [], [], 1)[0]:
                    text += os.read(main, 65536)
            return text

        return process, main, until

    def test_a_terminal_is_drawn_again_and_left_as_it_was(self):
        for leave in (b"q", b"\x03"):
            process, main, until = self.terminal()
            until(b"MODEL", times=3)
            raw = self.modes()
            self.assertFalse(raw[3] & (termios.ECHO | termios.ICANON))
            os.write(main, b"x")  # nothing
            os.write(main, leave)
            text = until(b"\x1b[?1049l")
            self.assertEqual(process.wait(server.SECONDS), 0, process.stderr.read())
            self.assertTrue(text.startswith(b"\x1b[?1049h"))
            self.assertTrue(self.modes()[3] & termios.ECHO and self.modes()[3] & termios.ICANON)
            for page in text.split(b"\x1b[H")[1:]:
                lines = page.split(b"\x1b[J")[0].split(b"\r\n")
                self.assertLessEqual(len(lines), 24)
                for line in lines:
                    self.assertLessEqual(len(re.sub(rb"\x1b\[[\d;]*[mK]", b"", line).decode()), 80, line)

    def test_a_server_that_goes_is_waited_for(self):
        own = self.start_instead()
        self.server, before = own, self.server
        try:
            process, main, until = self.terminal()
            until(b"MODEL", times=2)
            own.stop(signal.SIGKILL)
            pages_so_far = until(b"no server answers at").count(b"\x1b[J")
            text = until(b"\x1b[J", times=pages_so_far + 1)
            pages = re.sub(r"\r+\n", "\r\n", text.decode()).rpartition("\x1b[J")[0].split("\x1b[H")
            lines = [re.sub(r"\x1b\[[\d;]*[mKJ]", "", line) for line in pages[-1].split("\r\n")]
            self.assertIn(80, map(len, lines))  # what is too long is clipped
            shown = screen_of("\x1b[H".join(pages) + "\x1b[J")
            self.assertEqual(shown[:len(lines)], [line.rstrip() for line in lines])
            self.assertEqual(set(shown[len(lines):]), {""})
            os.write(main, b"q")
            self.assertEqual(process.wait(server.SECONDS), 0)
        finally:
            self.server = before

    def test_the_settings_say_where_the_server_is(self):
        path = os.path.join(self.shared, "here.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[serve]\nport = {self.server.port}\nhost = \"127.0.0.1\"\n")
        self.assertIn(f"at {self.server.url}", self.status("--once", "--config", path))

    def test_where_none_answers_is_said(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
            self.assertIn(f"no server answers at {url}: Connection refused", self.status("--server", url, code=IO))
        self.assertIn("does not begin with https://", self.status("--server", "127.0.0.1:80", code=USAGE))
        self.assertIn("everybody between", self.status("--server", "http://192.0.2.1:80", code=USAGE))

    def answer_with(self, text):
        """A server that says this to everybody, and closes."""
        listener = socket.create_server(("127.0.0.1", 0))

        def answer():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(text)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()

        def close():
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()

        self.addCleanup(close)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def test_what_is_no_such_server_is_said(self):
        page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
        cases = [(b"", IO, "without an answer"),
                 (b"SSH-2.0-OpenSSH\r\n\r\n", UNSUPPORTED, "does not answer in HTTP"),
                 (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", UNSUPPORTED, "status 404"),
                 (page % (6, b"<html>"), UNSUPPORTED, "Prometheus"),
                 (page % (6, b"up 1.5"), UNSUPPORTED, "malina_build_info"),
                 (page % (60, b"up 1.5"), IO, "without an answer"),
                 (page % (1 << 40, b""), UNSUPPORTED, "longer"),
                 (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000 + b"\r\n\r\n", UNSUPPORTED, "does not answer in HTTP"),
                 (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 12, "503")]
        for text, code, words in cases:
            with self.subTest(text=text[:40]):
                self.assertIn(words, self.status("--server", self.answer_with(text), code=code))

    def test_a_key_that_does_not_fit_is_said(self):
        url = ("--server", self.server.url)
        for name, text, code, words in (
                ("wrong", "mk_0000000000000000.wrong\n", UNAUTHENTICATED, "refuses the key of"),
                ("empty", "\n", USAGE, "does not hold a key"),
                ("odd", "a\x1b[31mb c\n", USAGE, "does not hold a key"),
                ("lines", "a\r\nX-Evil: 1\n", UNAUTHENTICATED, "refuses the key of")):
            path = os.path.join(self.shared, name)
            with open(path, "w", encoding="ascii", newline="") as file:
                file.write(text)
            self.assertIn(words, self.status(*url, "--key-file", path, code=code))
        self.assertIn("missing", self.status(*url, "--key-file", os.path.join(self.shared, "missing"), code=NOT_FOUND))
        token = self.run_program("key", "create", "app")
        path = os.path.join(self.shared, "app.key")
        with open(path, "w", encoding="ascii") as file:
            file.write(re.search(r"mk_\S+\.\S+", token)[0])
        time.sleep(0.03)  # so long a server may take a key for unknown
        self.assertIn("'audit'", self.status(*url, "--key-file", path, code=DENIED))
        token = self.run_program("key", "create", "watcher", "--permit", "audit")
        with open(path, "w", encoding="ascii") as file:
            file.write(re.search(r"mk_\S+\.\S+", token)[0])
        time.sleep(0.03)
        self.assertIn("tiny", self.status(*url, "--key-file", path))

    def test_a_home_without_a_key_is_said(self):
        result = subprocess.run([program.PROGRAM, "status"], capture_output=True, timeout=server.SECONDS,
                                env=dict(self.environment_of_class(), MALINA_HOME=os.path.join(self.shared, "none")))
        self.assertEqual(result.returncode, NOT_FOUND)
        self.assertIn("there is no key in", result.stderr.decode())
        self.assertFalse(os.path.exists(os.path.join(self.shared, "none")))


class TlsStatusTest(server.ServerTest):
    def certificate(self, name):
        path = os.path.join(self.shared, name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", f"/CN={name}", "-keyout", path + ".key", "-out", path + ".pem"],
                       check=True, capture_output=True)
        return path + ".pem", path + ".key"

    status = StatusTest.status

    def test_the_certificate_of_the_settings_is_trusted_and_no_other(self):
        mine, key = self.certificate("mine")
        other, _ = self.certificate("other")
        self.assertIn("does not speak TLS",
                      self.status("--server", self.server.url.replace("http", "https"), code=IO))
        running = self.start_instead("--tls-certificate", mine, "--tls-key", key)
        path = os.path.join(self.shared, "tls.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'[serve]\nport = {running.port}\ntls_certificate = "{mine}"\ntls_key = "{key}"\n')
        self.assertIn(f"at https://127.0.0.1:{running.port}", self.status("--config", path))
        url = ("--server", running.url)
        self.assertIn("at https://", self.status(*url, "--certificate", mine))
        self.assertIn("not trusted", self.status(*url, code=IO))
        self.assertIn("another certificate", self.status(*url, "--certificate", other, code=IO))
        self.assertIn("cannot read", self.status(*url, "--certificate", path, code=IO))
        self.assertIn("https://", self.status("--server", running.url.replace("https", "http"), code=IO))


if __name__ == "__main__":
    server.main()
