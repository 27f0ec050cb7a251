"""A running `malina serve` with a small model of random weights. The first argument of a test script is the
program's path."""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import shutil

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "commands"))
import gguf_file
import program

SECONDS = 60


def normal(seed):
    """Values of random weights, small enough for a model of many layers."""
    generator = random.Random(seed)

    def values(name, shape):
        count = 1
        for dimension in shape:
            count *= dimension
        if name.endswith("norm.weight"):
            return [1.0] * count
        return [generator.gauss(0, 0.3) for _ in range(count)]

    return values


BOUNDARY = "a-boundary"


def form(*parts, boundary=BOUNDARY):
    """The body of an upload; `parts`: (name, filename or None, content)."""
    body = b""
    for name, filename, content in parts:
        disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename is not None else "")
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body += (content if isinstance(content, bytes) else content.encode()) + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of server-sent events, parsed; the last is the text [DONE] where it came."""
        found = []
        for block in self.body.decode().split("\n\n"):
            for line in block.split("\n"):  # splitlines() ends lines at characters that an answer may have
                if line.startswith("data: "):
                    data = line[len("data: "):]
                    found.append(data if data == "[DONE]" else json.loads(data))
        return found


class Server:
    """Started at once; stop() ends it and gives its exit code."""

    def __init__(self, home, folder, *options, environment=None, port=0):
        self.home, self.folder = home, folder
        self.log = open(os.path.join(folder, "serve.log"), "ab+")
        self.process = subprocess.Popen(
            [program.PROGRAM, "serve", "--port", str(port), *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.log, cwd=folder, env=environment)
        self.said = ""
        self.url = None
        end = time.monotonic() + SECONDS
        while self.url is None:
            line = self.process.stdout.readline().decode()
            self.said += line
            if not line or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {self.said}{self.errors()}")
            if found := re.search(r"(https?)://\[?([^\]/ ]+?)\]?:(\d+)", line):
                self.scheme, self.host, self.port = found[1], found[2], int(found[3])
                self.url = found[0]
        self.drain_output = threading.Thread(target=self._read_rest, daemon=True)
        self.drain_output.start()
        self.key = pathlib.Path(home, "admin.key").read_text().strip()

    def _read_rest(self):
        for line in self.process.stdout:
            self.said += line.decode()

    def errors(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(SECONDS)
        self.drain_output.join(SECONDS)
        self.process.stdout.close()
        return code

    def close(self):
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        errors = self.errors()
        self.log.close()
        if "Sanitizer" in errors or "runtime error" in errors:
            raise AssertionError(errors)

    def headers(self, key=True, **more):
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {self.key if key is True else key}"
        headers.update(more)
        return headers

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)

    def request(self, method, path, body=None, key=True, headers=None):
        connection = self.connect()
        try:
            data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
            connection.request(method, path, data, {**self.headers(key), **(headers or {})})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def send_form(self, path, body, content_type=f"multipart/form-data; boundary={BOUNDARY}", **options):
        return self.request("POST", path, body, headers={"Content-Type": content_type}, **options)

    def upload(self, content, name="train.csv", **options):
        """The new file's id."""
        body = form(("purpose", None, "fine-tune"), ("file", name, content))
        return self.send_form("/v1/files", body, **options).json()["id"]

    def chat(self, text="hello", **fields):
        return self.post("/v1/chat/completions", {
            "model": "tiny", "messages": [{"role": "user", "content": text}], **fields})

    def complete(self, prompt="hello", key=True, **fields):
        return self.post("/v1/completions", {"model": "tiny", "prompt": prompt, **fields}, key=key)

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=SECONDS)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class ServerTest(program.ProgramTest):
    """One server for all tests of a class, with the model `tiny`."""

    options = ()
    context = 512
    layers = 2

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="malina_serve_")
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.shared_home = os.path.join(cls.shared, "home")
        model = gguf_file.write_model(os.path.join(cls.shared, "tiny.gguf"), layers=cls.layers,
                                      context=cls.context, values=normal(7))
        cls.run_program("import", model, "--name", "tiny")
        cls.server = cls.start(*cls.options)

    @classmethod
    def environment_of_class(cls):
        environment = {"PATH": os.environ["PATH"], "MALINA_HOME": cls.shared_home, "LC_ALL": "C.UTF-8",
                       "MALINA_CONFIG": "/dev/null"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        return environment

    @classmethod
    def run_program(cls, *arguments, code=0):
        result = subprocess.run([program.PROGRAM, *arguments], capture_output=True, timeout=SECONDS,
                                env=cls.environment_of_class(), cwd=cls.shared)
        if result.returncode != code:
            raise AssertionError(f"malina {' '.join(arguments)}: {result.returncode}: "
                                 f"{result.stderr.decode()}")
        return result.stdout.decode()

    @classmethod
    def start(cls, *options, port=0):
        server = Server(cls.shared_home, cls.shared, *options,
                        environment=cls.environment_of_class(), port=port)
        cls.addClassCleanup(server.close)
        return server

    def start_instead(self, *options):
        """A server with other options, in place of the class's own until the test ends: a home has one."""
        self.server.stop()
        running = self.start(*options)

        def put_back():
            running.stop()
            type(self).server = self.start(*self.options, port=self.server.port)

        self.addCleanup(put_back)
        return running

    def make_key(self, *options):
        token = self.run_program("key", "create", "test", *options)
        time.sleep(0.03)  # so long a server may take a key for unknown
        return re.search(r"mk_\S+\.\S+", token)[0]

    def audit(self, count):
        """The last records, the newest at the end."""
        return [json.loads(line)["record"] for line in
                self.run_program("audit", "tail", "-n", str(count), "--json").splitlines()]

    def wait_for(self, look, seconds=SECONDS):
        """The first thing that `look` gives that is true."""
        end = time.monotonic() + seconds
        while not (found := look()):
            self.assertLess(time.monotonic(), end, "it did not come")
            time.sleep(0.02)
        return found

    def gauges(self):
        """What the server holds at this moment, of the model `tiny`."""
        text = self.server.get("/metrics").body.decode()
        value = lambda name: int(float(re.search(rf'^{name}{{model="tiny"[^}}]*}} (\S+)', text, re.MULTILINE)[1]))
        return {name: value(f"malina_{name}") for name in ("pages_used", "running", "waiting")}

    def assert_error(self, response, status, code=None, param=None):
        self.assertEqual(response.status, status, response.body)
        error = response.json()["error"]
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])
        if code is not None:
            self.assertEqual(error["code"], code, error)
        if param is not None:
            self.assertEqual(error["param"], param, error)
        self.assertTrue(response.headers["x-request-id"])
        return error


class LongTest(ServerTest):
    """With a model whose answers take a while, for what happens in the midst of one. No length is too long for every
    machine: until_met() tries again with more work."""

    layers = 8
    context = 16384
    ENDLESS = {"model": "tiny", "prompt": "hello", "max_tokens": 16000, "stream": True,
               "logit_bias": {"0": -100, "2": -100}}

    def until_met(self, attempt):
        """What `attempt(n)` gives that is not None: it is tried with twice as many answers of a request each time."""
        for answers in (1, 2, 4, 8, 8):
            result = attempt(answers)
            if result is not None:
                return result
        self.fail("every answer had ended before it was met")

    def begin(self, running, key=True, **fields):
        """The response of a request, once its header has come: (http.client's response, its connection)."""
        connection = running.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions", json.dumps({**self.ENDLESS, **fields}), running.headers(key))
        return connection.getresponse(), connection


def main():
    unittest.main(verbosity=1)
