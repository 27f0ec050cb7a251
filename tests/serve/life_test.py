"""How a server begins, what it survives and how it ends."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import server
import gguf_file  # found by server, as is program
import program

BODY = {"model": "tiny", "prompt": "hello", "max_tokens": 400, "stream": True,
        "logit_bias": {"2": -100}}


class LifeTest(server.ServerTest):
    def raw(self, text, wait=True):
        with self.server.socket() as connection:
            connection.sendall(text)
            data = b""
            while wait:
                piece = connection.recv(65536)
                if not piece:
                    break
                data += piece
            return data

    def head(self, length, **more):
        lines = ["POST /v1/completions HTTP/1.1", "Host: localhost",
                 f"Authorization: Bearer {self.server.key}", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def test_hostile_headers_are_refused(self):
        cases = [
            (b"\x00\x01\x02\r\n\r\n", b" 400 "),
            (b"GET /health\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40000 + b"\r\n\r\n", b" 431 "),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 150 + b"\r\n", b" 431 "),
            (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\n"
             b"Content-Length: 3\r\n\r\nabc", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: localhost:evil.example\r\n\r\n", b" 403 "),
            (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n", b" 400 "),
        ]
        for text, status in cases:
            with self.subTest(text=text[:60]):
                self.assertIn(status, self.raw(text)[:20])
        self.assertEqual(self.server.get("/health").status, 200)

    def test_a_body_too_large_is_refused_before_it_is_read(self):
        answer = self.raw(self.head(1 << 40))
        self.assertIn(b" 413 ", answer[:20])
        chunked = (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                   self.server.key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n")
        self.assertIn(b" 413 ", self.raw(chunked)[:20])

    def test_a_body_without_a_key_is_not_waited_for(self):
        answer = self.raw(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        self.assertIn(b" 401 ", answer[:20])

    def test_deep_and_wide_json_is_refused(self):
        for body in (b"[" * 100000, b'{"a":' * 100000,
                     json.dumps({f"k{i}": 1 for i in range(5000)}).encode()):
            self.assert_error(self.server.post("/v1/completions", body), 400)

    def test_keep_alive_and_pipelined_requests(self):
        connection = self.server.connect()
        for _ in range(5):
            connection.request("GET", "/v1/models", headers=self.server.headers())
            self.assertEqual(connection.getresponse().read()[:1], b"{")
        connection.close()
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertEqual(self.raw(one * 3 + last).count(b"200 OK"), 4)

    def test_http_1_0_gets_no_chunks(self):
        body = json.dumps(dict(BODY, max_tokens=3)).encode()
        text = self.head(len(body)).replace(b"HTTP/1.1", b"HTTP/1.0") + body
        answer = self.raw(text)
        self.assertNotIn(b"chunked", answer)
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n"), answer[-100:])

    def test_absolute_targets_name_the_host(self):
        """RFC 9112, 3.2.2: the Host header then says nothing, but must be there."""
        ask = lambda target, host="Host: evil.example\r\n", version="1.1": self.raw(
            f"GET {target} HTTP/{version}\r\n{host}Connection: close\r\n\r\n".encode())
        self.assertIn(b" 200 ", ask("http://localhost:1/health")[:20])
        self.assertIn(b" 200 ", ask("HTTP://LOCALHOST")[:20])
        self.assertIn(b" 200 ", ask("http://localhost/health", "", "1.0")[:20])
        self.assertIn(b" 400 ", ask("http://localhost/health", "")[:20])
        self.assertIn(b" 403 ", ask("http://evil.example/health", "Host: localhost\r\n")[:20])
        self.assertIn(b" 403 ", ask("http://localhost.evil.example/health", "Host: localhost\r\n")[:20])
        self.assertIn(b" 400 ", ask("http://localhost@evil.example/health", "Host: localhost\r\n")[:20])
        self.assertIn(b" 400 ", ask("ftp://localhost/health")[:20])
        self.assertIn(b" 421 ", ask("https://localhost/health")[:20])
        self.assertIn(b" 401 ", ask("http://localhost/v1/models")[:20])

    def test_head_is_get_without_the_body(self):
        document = self.server.get("/openapi.json").json()
        file = self.server.upload("text,label\na,b\n")
        job = self.server.post("/v1/fine_tuning/jobs", {"model": "tiny", "training_file": file}).json()["id"]
        end = time.monotonic() + server.SECONDS  # too few rows: it fails, and changes no more
        while self.server.get(f"/v1/fine_tuning/jobs/{job}").json()["status"] != "failed":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        known = {"{model}": "tiny", "{file_id}": file, "{fine_tuning_job_id}": job}
        paths = [re.sub(r"{\w+}", lambda place: known[place[0]], path)
                 for path, methods in document["paths"].items() if "get" in methods]
        self.assertGreater(len(paths), 5)
        changing = ("/metrics", "/api/ps")  # counts what was asked meanwhile
        for path in paths:
            with self.subTest(path=path):
                self.server.complete(max_tokens=1)
                whole, head = self.server.get(path), self.server.request("HEAD", path)
                self.assertEqual(head.status, 200)
                self.assertEqual(head.body, b"")
                self.assertEqual(head.headers["content-type"], whole.headers["content-type"])
                if path not in changing:
                    self.assertEqual(head.headers["content-length"], str(len(whole.body)))
        wrong = self.server.request("HEAD", "/v1/completions")
        self.assertEqual((wrong.status, wrong.headers["allow"]), (405, "POST"))
        self.assertEqual(self.server.request("DELETE", "/v1/models").headers["allow"], "GET, HEAD")

    def test_an_expectation_is_answered(self):
        body = json.dumps({"model": "tiny", "prompt": "x", "max_tokens": 1}).encode()
        with self.server.socket() as connection:
            connection.sendall(self.head(len(body)).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
            self.assertIn(b"100 Continue", connection.recv(1000))
            connection.sendall(body)
            self.assertIn(b"200 OK", connection.recv(1000))

    def test_metrics_count(self):
        # A connection's next request is read when the one before has been counted.
        connection = self.server.connect()
        self.addCleanup(connection.close)

        def ask(method, path, body=None):
            connection.request(method, path, body, self.server.headers())
            return connection.getresponse().read().decode()

        def read():
            body = json.dumps({"model": "tiny", "prompt": "hello", "max_tokens": 3, "logit_bias": {"2": -100}})
            ask("POST", "/v1/completions", body)
            text = re.sub(r',digest="\w{12}"', "", ask("GET", "/metrics"))
            return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

        before, after = read(), read()
        changed = lambda name: float(after[name]) - float(before[name])
        key = self.server.key.split(".")[0]
        self.assertEqual(changed(f'malina_tokens_total{{key="{key}",kind="completion",model="tiny"}}'), 3)
        self.assertEqual(
            changed('malina_requests_total{route="/v1/completions",status="200"}'), 1)
        self.assertEqual(changed('malina_time_to_first_token_seconds_count{model="tiny"}'), 1)
        self.assertEqual(changed('malina_answer_tokens_total{model="tiny"}'), 3)
        self.assertGreater(float(after['malina_pages_capacity{model="tiny"}']), 0)

    def test_the_dashboard_asks_for_what_there_is(self):
        self.server.complete(max_tokens=3, logit_bias={"2": -100})
        there = set(re.findall(r"^(malina_\w+)", self.server.get("/metrics").body.decode(), re.MULTILINE))
        dashboard = pathlib.Path(__file__).resolve().parents[2] / "packaging/grafana/malina.json"
        asked = set(re.findall(r"malina_\w+", dashboard.read_text()))
        self.assertGreater(len(asked), 10)
        self.assertEqual(asked - there, set())

    def test_a_hundred_streams_at_once_are_each_as_alone(self):
        def ask(i):
            return self.server.post("/v1/completions", {
                "model": "tiny", "prompt": f"hello {i % 10}", "seed": i % 10, "max_tokens": 20,
                "stream": True}).events()

        def text(events):
            self.assertEqual(events[-1], "[DONE]")
            return "".join(event["choices"][0]["text"] for event in events[:-1])

        alone = [text(ask(i)) for i in range(10)]
        results = [None] * 100
        threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, ask(i)))
                   for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, events in enumerate(results):
            self.assertEqual(text(events), alone[i % 10])


class LeavingTest(server.LongTest):
    """Clients that go in the midst of an answer."""

    STREAMS, TOKENS = 12, 100_000  # of the key: at once, a minute

    def head(self, key, length):
        return (f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Length: {length}\r\n\r\n").encode()

    def drop(self, key, generator):
        """Goes away at a random moment, in order or with a reset."""
        body = json.dumps(dict(BODY, stream=generator.random() < 0.7)).encode()
        text = self.head(key, len(body)) + body
        connection = self.server.socket()
        connection.sendall(text[:generator.randrange(1, len(text))] if generator.random() < 0.2 else text)
        time.sleep(generator.random() * 0.05)
        if generator.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def free_streams(self, key):
        """How many requests of a key are taken at once."""
        def attempt(answers):
            begun = []
            while len(begun) <= self.STREAMS:
                begun.append(self.begin(self.server, key, n=answers))
                if begun[-1][0].status == 429:
                    break
            for answer, connection in begun:
                connection.close()
                answer.close()
            self.wait_for(lambda: self.gauges()["running"] == 0)
            return len(begun) - 1 if begun[-1][0].status == 429 else None  # else some had ended

        return self.until_met(attempt)

    def test_disconnects_leave_nothing_behind(self):
        key = self.make_key("--streams", str(self.STREAMS), "--tokens-per-minute", str(self.TOKENS))
        identity = key.split(".")[0]
        everyone = self.make_key("--streams", str(self.STREAMS))  # has tokens without end
        self.assertEqual(self.free_streams(everyone), self.STREAMS)
        before = (self.gauges(), self.server.descriptors())

        def many(key, seed):
            generator = random.Random(seed)
            for _ in range(50):
                self.drop(key, generator)

        threads = [threading.Thread(target=many, args=(each, seed))
                   for seed, each in enumerate((key, everyone, key, everyone))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.wait_for(lambda: (self.gauges(), self.server.descriptors()) == before)
        left = int(self.server.post("/v1/tokenize", {"model": "tiny", "prompt": "x"}, key=key).headers[
            "x-ratelimit-remaining-tokens"])

        def ended():
            records = [each for each in self.audit(2000) if each["principal"] == identity]
            begun = {each["request"] for each in records if each["outcome"] == "intent"}
            return records if begun == {each["request"] for each in records
                                        if each["outcome"] not in ("intent", "refused")} else None

        records = self.wait_for(ended)
        self.assertGreater(sum(each["outcome"] == "cancelled" for each in records), 20)
        used = sum(each["prompt_tokens"] + each["completion_tokens"] for each in records)
        self.assertGreaterEqual(left, self.TOKENS - used)  # no more was taken from the key
        self.assertEqual(self.free_streams(everyone), self.STREAMS)
        self.assertEqual(self.server.complete(max_tokens=1, key=key).status, 200)

    def test_what_was_computed_is_charged_to_those_who_leave(self):
        def attempt(answers):
            key = self.make_key("--tokens-per-minute", "10000000")
            answer, connection = self.begin(self.server, key, n=answers)
            while b"choices" not in answer.readline():
                pass
            connection.close()
            answer.close()
            outcome = self.wait_for(lambda: [each for each in self.audit(20) if each["outcome"] != "intent" and
                                             each["principal"] == key.split(".")[0]])[0]
            return outcome if outcome["outcome"] == "cancelled" else None

        outcome = self.until_met(attempt)
        self.assertEqual(outcome["status"], 499)
        self.assertGreater(outcome["prompt_tokens"], 0)
        self.assertGreater(outcome["completion_tokens"], 0)
        self.wait_for(lambda: self.gauges()["running"] == 0)

    def test_a_stream_that_has_nothing_to_say_is_kept_open(self):
        """A line that clients pass over, each 15 s: here they go by while the server stands still."""
        def attempt(answers):
            answer, _ = self.begin(self.server, n=answers)
            answer.readline()
            self.server.process.send_signal(signal.SIGSTOP)
            try:
                time.sleep(15.5)
            finally:
                self.server.process.send_signal(signal.SIGCONT)
            # What it wrote before may be long; a ping stands between two events.
            return next((True for line in answer if line == b": ping\n"), None)

        self.assertTrue(self.until_met(attempt))


class RefusalTest(server.LongTest):
    options = ("--models", "tiny", "--parallel", "1", "--max-queue", "1")

    def test_who_finds_too_many_waiting_is_told_at_once(self):
        """Not after queue_wait, which is 30 s. bench/serve_load holds the 50 ms."""
        def attempt(answers):
            _, running = self.begin(self.server, prompt=[70] * 9000, max_tokens=7000)
            waiting = self.server.connect()  # two such prompts do not fit
            self.addCleanup(waiting.close)
            waiting.request("POST", "/v1/completions", json.dumps({**self.ENDLESS, "prompt": [71] * 9000,
                                                                     "max_tokens": 7000}),
                            self.server.headers())
            full = lambda: self.gauges()["waiting"] == 1
            refused = []
            if any(full() for _ in range(500)):
                for _ in range(30):
                    began = time.monotonic()
                    refused.append((self.server.complete(max_tokens=1), time.monotonic() - began))
            met = full()
            running.close()
            waiting.close()
            self.wait_for(lambda: self.gauges()["running"] == 0)
            return refused if met and refused else None

        refused = self.until_met(attempt)
        for answer, seconds in refused:
            self.assert_error(answer, 503, "overloaded")
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
            self.assertLess(seconds, 5)
        self.assertLess(sorted(seconds for _, seconds in refused)[15], 0.5)
        self.assertEqual(self.server.complete(max_tokens=1).status, 200)


class QueueTest(server.ServerTest):
    options = ("--models", "tiny", "--max-queue", "2", "--queue-wait", "300ms", "--parallel", "1")

    def test_a_model_is_loaded_before_it_is_asked_for(self):
        end = time.monotonic() + server.SECONDS
        while not self.server.get("/api/ps").json()["models"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_a_model_that_there_is_not_ends_the_start(self):
        self.start_instead().stop()
        result = subprocess.run([program.PROGRAM, "serve", "--port", "0", "--models", "none"], timeout=60,
                                capture_output=True, env=self.environment_of_class())
        self.assertEqual(result.returncode, 3)
        self.assertIn("there is no model 'none'", result.stderr.decode())

    def test_a_request_is_not_refused_for_its_own_answers(self):
        self.assertEqual(len(self.server.complete(n=8, max_tokens=1).json()["choices"]), 8)
        self.assertEqual(len(self.server.complete(["hello"] * 20, n=2, max_tokens=1).json()["choices"]), 40)
        self.assertEqual(len(self.server.chat(n=8, max_tokens=1).json()["choices"]), 8)

    def test_too_many_are_told_at_once_and_others_in_time(self):
        statuses = []

        def ask(number):
            answer = self.server.post("/v1/completions", {
                "model": "tiny", "prompt": f"hello {number}", "max_tokens": 480, "logit_bias": {"2": -100}})
            statuses.append((answer.status, answer.headers["retry-after"]))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [each for each in statuses if each[0] == 503]
        self.assertEqual(len(refused) + sum(status == 200 for status, _ in statuses), 40)
        self.assertGreater(len(refused), 0)
        self.assertTrue(all(int(after) >= 1 for _, after in refused))
        self.assertEqual(self.server.complete(max_tokens=1).status, 200)


class BodyTest(server.ServerTest):
    """A body counts four times its bytes: what it is read into takes memory too."""

    options = ("--max-bodies", "1MiB")

    def begin(self, sent):
        """A connection that has sent so many bytes of a body of 200,000."""
        connection = self.server.socket()
        self.addCleanup(connection.close)
        connection.sendall(f"POST /v1/tokenize HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                           f"{self.server.key}\r\nContent-Length: 200000\r\n\r\n".encode())
        connection.sendall(self.body[:sent])
        return connection

    def setUp(self):
        super().setUp()
        start = b'{"model": "tiny", "prompt": "'
        self.body = start + b"a" * (200000 - len(start) - 2) + b'"}'

    def test_bodies_together_are_bounded(self):
        both = [self.begin(150000), self.begin(150000)]
        refused = select.select(both, [], [], server.SECONDS)[0]
        self.assertEqual(len(refused), 1)  # what it had is free for the other
        answer = refused[0].recv(1000)
        self.assertIn(b" 503 ", answer[:20])
        self.assertIn(b"retry-after: 1\r\n", answer)
        self.assertIn(b"connection: close\r\n", answer)
        self.assertEqual(self.server.get("/v1/models").status, 200)  # what is small goes on
        other = both[1 - both.index(refused[0])]
        other.sendall(self.body[150000:])
        self.assertIn(b" 200 ", other.recv(1000)[:20])
        other.close()  # until it is taken or nobody takes it any more, the answer holds memory
        end = time.monotonic() + server.SECONDS
        while self.server.post("/v1/tokenize", self.body).status != 200:  # all is given back
            self.assertLess(time.monotonic(), end)

    def test_one_that_never_fits_is_too_large(self):
        answer = self.server.post("/v1/tokenize", self.body + b" " * 100000)
        self.assert_error(answer, 413)
        self.assertIn("245760 bytes", answer.json()["error"]["message"])

    def test_many_after_one_another_leave_nothing(self):
        with contextlib.closing(self.server.connect()) as connection:
            for _ in range(20):
                connection.request("POST", "/v1/tokenize", self.body, self.server.headers())
                answer = connection.getresponse()
                self.assertEqual((answer.status, answer.read()[:9]), (200, b'{"count":'))

    def test_a_model_that_never_fits_is_no_reason_to_try_again(self):
        running = self.start_instead("--memory", "64KiB")
        answer = running.complete(max_tokens=1)
        self.assert_error(answer, 503, "out_of_memory")
        self.assertEqual(answer.headers["x-should-retry"], "false")
        self.assertIsNone(answer.headers["retry-after"])

    def test_bodies_leave_memory_for_models(self):
        self.start_instead().stop()
        result = subprocess.run([program.PROGRAM, "serve", "--port", "0", "--memory", "64MiB", "--max-bodies",
                                 "64MiB"], timeout=60, capture_output=True, env=self.environment_of_class())
        self.assertEqual(result.returncode, program.USAGE)
        self.assertIn("--max-bodies", result.stderr.decode())


class DiskTest(server.ServerTest):
    def wait_for_health(self, running, status):
        end = time.monotonic() + server.SECONDS
        while (answer := running.get("/health", key=False)).status != status:
            self.assertLess(time.monotonic(), end, answer.body)
            time.sleep(0.1)
        return answer

    def test_health_says_when_nothing_can_be_recorded(self):
        """A limit on the size of files stands for a disk that takes nothing more."""
        limit = lambda most: resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE,
                                              (most, resource.RLIM_INFINITY))
        self.wait_for_health(self.server, 200)
        limit(1)
        refused = self.server.complete(max_tokens=1)
        self.assert_error(refused, 503, "read_only")
        sick = self.server.get("/health", key=False)
        self.assert_error(sick, 503, "read_only")
        self.assertGreaterEqual(int(sick.headers["retry-after"]), 1)
        for answer in (sick, refused):
            self.assertNotIn(self.shared.encode(), answer.body)
        self.assertIn("malina.db", self.server.errors())  # the log has the cause
        limit(resource.RLIM_INFINITY)
        self.wait_for_health(self.server, 200)  # without any request that records
        self.assertEqual(self.server.complete(max_tokens=1).status, 200)

    def test_a_full_disk(self):
        """A real one. Who may not mount does so in a name space of their own, where this test runs once more."""
        mount = os.path.join(self.shared, "disk")
        os.makedirs(mount)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", mount], capture_output=True, text=True)
        if made.returncode != 0 and "MALINA_TEST_MOUNTS" not in os.environ:
            inside = subprocess.run(
                ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__, program.PROGRAM,
                 "DiskTest.test_a_full_disk"], env=dict(os.environ, MALINA_TEST_MOUNTS="1"), capture_output=True, text=True)
            self.assertEqual(inside.returncode, 0, made.stderr + inside.stderr)
            return
        self.assertEqual(made.returncode, 0, made.stderr)
        try:
            self.check_full_disk(mount)
        finally:
            subprocess.run(["umount", "-l", mount], check=True)

    def check_full_disk(self, mount):
        home = os.path.join(mount, "home")
        environment = dict(self.environment_of_class(), MALINA_HOME=home)
        model = os.path.join(self.shared, "tiny.gguf")
        subprocess.run([program.PROGRAM, "import", model, "--name", "tiny"], env=environment, check=True,
                       capture_output=True)
        running = server.Server(home, self.shared, environment=environment)
        self.addCleanup(running.close)
        self.assertEqual(running.complete(max_tokens=1).status, 200)
        filler = os.path.join(mount, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        end = time.monotonic() + server.SECONDS
        while running.complete(max_tokens=1).status != 503:  # the log has some room that it reuses
            self.assertLess(time.monotonic(), end)
        self.assert_error(running.complete(max_tokens=1), 503, "disk_full")
        self.assert_error(self.wait_for_health(running, 503), 503, "disk_full")
        os.remove(filler)
        self.wait_for_health(running, 200)
        self.assertEqual(running.complete(max_tokens=1).status, 200)
        self.assertEqual(running.stop(), 0)
        subprocess.run([program.PROGRAM, "audit", "verify"], env=environment, check=True, capture_output=True)


class LoadingTest(server.ServerTest):
    def test_models_come_and_go_while_others_answer(self):
        """Loading has threads of its own: those that compute have one caller at a time."""
        big = gguf_file.write_model(os.path.join(self.shared, "big.gguf"), layers=2, hidden=20000)
        self.run_program("import", big, "--name", "big")
        stop = threading.Event()
        statuses = []

        def answer():
            while not stop.is_set():
                statuses.append(self.server.complete(max_tokens=60, logit_bias={"2": -100}).status)

        threads = [threading.Thread(target=answer) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            body = {"model": "big", "prompt": "x", "keep_alive": 0, "stream": False,
                    "options": {"num_predict": 1}}
            self.assertEqual(self.server.post("/api/generate", body).status, 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(set(statuses), {200})


class AliasTest(server.ServerTest):
    def test_an_alias_moves_while_requests_run(self):
        other = gguf_file.write_model(os.path.join(self.shared, "other.gguf"), layers=2, context=self.context,
                                      values=server.normal(8))
        self.run_program("import", other, "--name", "other")
        self.run_program("alias", "set", "prod=tiny")
        ask = lambda model: self.server.post("/v1/completions", {
            "model": model, "prompt": "hello", "temperature": 0, "max_tokens": 12})
        text = lambda answer: answer.json()["choices"][0]["text"]
        alone = {name: text(ask(name)) for name in ("tiny", "other")}
        self.assertNotEqual(alone["tiny"], alone["other"])
        answers, stop = [], threading.Event()

        def keep_asking():
            while not stop.is_set():
                answers.append(ask("prod"))

        threads = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        for name in ("other", "tiny", "other"):
            self.run_program("alias", "set", f"prod={name}")
            self.assertEqual(text(ask("prod")), alone[name])  # at once
        self.run_program("alias", "rollback", "prod")
        self.assertEqual(text(ask("prod")), alone["tiny"])
        stop.set()
        for thread in threads:
            thread.join()
        for answer in answers:
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.json()["model"], "prod")
            self.assertIn(text(answer), alone.values())
        listed = {model["id"]: model.get("alias_of") for model in self.server.get("/v1/models").json()["data"]}
        self.assertEqual(listed, {"other": None, "prod": "tiny", "tiny": None})


class TlsTest(server.ServerTest):
    @classmethod
    def certificate(cls, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                        "subjectAltName=DNS:localhost", "-keyout", os.path.join(cls.shared, "new.key"),
                        "-out", os.path.join(cls.shared, "new.pem")], check=True, capture_output=True)
        os.replace(os.path.join(cls.shared, "new.key"), os.path.join(cls.shared, "tls.key"))
        os.replace(os.path.join(cls.shared, "new.pem"), os.path.join(cls.shared, "tls.pem"))

    @classmethod
    def start(cls, *options, port=0):
        cls.certificate("first")
        return super().start("--tls-certificate", os.path.join(cls.shared, "tls.pem"), "--tls-key",
                             os.path.join(cls.shared, "tls.key"), *options, port=port)

    def subject(self, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for name, value in options.items():
            setattr(context, name, value)
        with context.wrap_socket(self.server.socket()) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(1000):
                answer += piece
            self.assertIn(b"200 OK", answer)
            self.assertTrue(answer.endswith(b'{"status":"ok"}'))
            der = connection.getpeercert(binary_form=True)
        return b"first" if b"first" in der else b"second" if b"second" in der else der

    def test_it_serves_and_reads_a_new_certificate(self):
        self.assertEqual(self.server.scheme, "https")
        self.assertEqual(self.subject(), b"first")
        self.assertEqual(self.subject(maximum_version=ssl.TLSVersion.TLSv1_2), b"first")
        with open(os.path.join(self.shared, "tls.pem"), "w") as file:
            file.write("no certificate")  # the last good one stays
        time.sleep(2.5)
        self.assertEqual(self.subject(), b"first")
        self.certificate("second")
        end = time.monotonic() + server.SECONDS
        while self.subject() != b"second":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)

    def test_old_protocols_and_plain_text_are_refused(self):
        with self.assertRaises((ssl.SSLError, OSError)):
            self.subject(maximum_version=ssl.TLSVersion.TLSv1_1)
        with self.server.socket() as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertNotIn(b"200 OK", connection.recv(1000))
        self.assertIn(self.subject(), (b"first", b"second"))


class StopTest(server.LongTest):
    def test_sigterm_lets_answers_end_and_takes_no_more(self):
        self.start_instead().stop()

        def ask(connection):
            """The status of a request; None where the server does not even take the connection, or has closed it."""
            try:
                connection.request("POST", "/v1/completions", json.dumps(dict(BODY, max_tokens=1, stream=False)),
                                   self.server.headers())
                return connection.getresponse().status
            except (ConnectionError, http.client.HTTPException):
                return None
            finally:
                connection.close()

        def attempt(answers):
            running = self.start("--drain", "10m")
            before = len(running.errors())
            idle = running.connect()
            idle.request("GET", "/health")
            idle.getresponse().read()
            answer, _ = self.begin(running, max_tokens=2000, n=answers)
            answer.readline()
            running.process.send_signal(signal.SIGTERM)
            self.wait_for(lambda: "stopping: " in running.errors()[before:])
            statuses = [ask(idle)] + [ask(running.connect()) for _ in range(5)]
            goes_on = running.process.poll() is None
            self.assertTrue(answer.read().endswith(b"data: [DONE]\n\n"))
            self.assertEqual(running.stop(), 0)
            return statuses if goes_on else None

        self.assertEqual(set(self.until_met(attempt)) - {503}, {None})

    def test_a_service_manager_passes_the_socket_and_is_told(self):
        self.start_instead().stop()
        with socket.socket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            notified.bind(os.path.join(self.shared, "notify"))
            notified.settimeout(server.SECONDS)
            environment = dict(self.environment_of_class(), LISTEN_FDS="1",
                               NOTIFY_SOCKET=os.path.join(self.shared, "notify"))

            def third():
                os.dup2(listener.fileno(), 3)

            process = subprocess.Popen(  # LISTEN_PID names the process that the socket is for
                ["sh", "-c", 'LISTEN_PID=$$ exec "$0" serve --port 1', program.PROGRAM], env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(3,), preexec_fn=third)
            try:
                self.assertEqual(notified.recv(100), b"READY=1")
                with socket.create_connection(listener.getsockname()) as connection:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    self.assertIn(b"200 OK", connection.recv(1000))
                process.terminate()
                self.assertEqual(notified.recv(100), b"STOPPING=1")
                self.assertEqual(process.wait(server.SECONDS), 0)
            finally:
                process.kill()
                process.wait()

    def test_a_short_drain_cuts_with_an_error_and_no_done(self):
        self.start_instead().stop()

        def attempt(answers):
            running = self.start("--drain", "0s")
            begun = [self.begin(running, n=answers)[0] for _ in range(4)]
            running.process.send_signal(signal.SIGTERM)
            cut = set()
            for answer in begun:
                last = server.Response(200, answer.headers, answer.read()).events()[-1]
                if last != "[DONE]":
                    self.assertEqual(last["error"]["code"], "draining")
                    cut.add(answer.headers["x-request-id"])
            self.assertEqual(running.stop(), 0)
            recorded = {each["request"] for each in self.audit(16) if each["outcome"] == "cut off" and
                        each["status"] == 503}
            self.assertEqual(recorded & {answer.headers["x-request-id"] for answer in begun}, cut)
            return cut or None

        self.assertTrue(self.until_met(attempt))

    def test_the_end_waits_for_no_client(self):
        """One sends half a body, one half a header, one nothing more."""
        running = self.start_instead("--drain", "60s")
        idle = running.socket()
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b" 200 ", idle.recv(1000))
        header = running.socket()
        header.sendall(b"GET /health HTTP/1.1\r\nHost:")
        body = running.socket()
        body.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {running.key}"
                     f"\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n".encode())
        self.assertIn(b" 100 ", body.recv(1000))  # now it is under way
        body.sendall(b'{"model"')
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        answer = body.recv(1000)
        self.assertIn(b" 503 ", answer[:20])
        self.assertIn(b'"code":"draining"', answer)
        self.assertEqual(running.stop(), 0)
        self.assertLess(time.monotonic() - began, 25)  # neither the body's 30 s nor the drain's 60
        for connection in (idle, header):
            try:
                self.assertEqual(connection.recv(1000), b"")
            except ConnectionResetError:
                pass
            connection.close()
        body.close()

    def test_one_server_at_a_time_has_a_home(self):
        running = self.start_instead("--drain", "0s")
        environment = self.environment_of_class()
        second = subprocess.run([program.PROGRAM, "serve", "--port", "0"], capture_output=True, timeout=60,
                                env=environment)
        self.assertEqual(second.returncode, 4)
        self.assertIn(f"another server (process {running.process.pid}) serves the models of "
                      f"{self.shared_home}", second.stderr.decode())
        self.assertEqual(second.stdout, b"")
        self.run_program("key", "list")  # commands go on
        self.assertEqual(running.get("/health").status, 200)
        running.stop(signal.SIGKILL)
        again = self.start("--drain", "0s")  # nothing of it is left behind
        self.assertEqual(again.get("/health").status, 200)
        self.assertEqual(again.stop(), 0)


if __name__ == "__main__":
    server.main()
