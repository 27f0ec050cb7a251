"""Escalation to upstreams: `malina connector`, and what leaves the machine when. The upstream is a fake one, on this
machine."""

import http.server
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

import server
import program

CHOICE = {"type": "choice", "name": "intent", "instructions": "Which intent?",
          "choices": [{"value": "refused"}, {"value": "refund", "description": "wants money back"}],
          "abstain_below": 1, "escalate_to": "upstream/big"}
TEXT = "where is my secret canary?"


def completion(content, logprobs=None, finish="stop", usage=True):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    if logprobs is not None:
        choice["logprobs"] = {"content": [{"token": token, "logprob": value, "top_logprobs": []}
                                          for token, value in logprobs]}
    body = {"id": "x", "object": "chat.completion", "choices": [choice]}
    if usage:
        body["usage"] = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    return 200, body, {}


class Upstream:
    """Answers POST /v1/chat/completions with what `answer` makes of the request."""

    def __init__(self):
        self.requests = []  # (path, headers, body)
        self.answer = lambda body: completion("refused")
        self.release = threading.Event()  # ends what hangs
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers), None))
                self.send_error(404)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append((self.path, dict(self.headers), body))
                status, content, headers = outer.answer(body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda request, address: None  # a client that left is no news
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def hang(self, body):
        self.release.wait(60)
        return completion("refused")

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.http.server_close()


class Connector:
    def __init__(self, test, file, *options):
        self.log = open(os.path.join(test.shared, "connector.log"), "wb+")
        self.process = subprocess.Popen([program.PROGRAM, "connector", file, *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, env=test.environment_of_class())
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the connector did not start: " + self.said())

    def said(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        self.process.stdout.close()
        said = self.said()
        self.log.close()
        if "Sanitizer" in said or "runtime error" in said:
            raise AssertionError(said)
        return code


class UpstreamTest(server.ServerTest):
    options = ("--upstreams", "big,other", "--upstream-wait", "20s")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.permitted = cls.new_key("--permit", "infer,upstream")

    @classmethod
    def new_key(cls, *options):
        key = json.loads(cls.run_program("key", "create", "test", *options, "--json"))["key"]
        time.sleep(0.03)  # so long a server may take a key for unknown
        return key

    def setUp(self):
        super().setUp()
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.key_file = self.path("big.key")
        with open(self.key_file, "w") as file:
            file.write("sk-upstream\n")
        os.chmod(self.key_file, 0o600)
        self.connector = None
        self.addCleanup(self.stop_connector)

    def stop_connector(self):
        if self.connector is not None and not self.connector.log.closed:
            self.connector.stop()

    def configure(self, *lines, url=None):
        file = self.path("upstreams.toml")
        with open(file, "w") as out:
            out.write("\n".join(["[big]", f'url = "{url or self.upstream.url}"', 'model = "large"',
                                 f'key_file = "{self.key_file}"', *lines]) + "\n")
        return file

    def connect(self, *lines, **options):
        self.connector = Connector(self, self.configure(*lines, **options))
        return self.connector

    def decide(self, *questions, key=None, input=TEXT):
        return self.server.post("/v1/decisions", {"model": "tiny", "input": input, "questions": list(questions)},
                                key=key or self.permitted)

    def answer(self, *questions, **options):
        response = self.decide(*questions, **options)
        self.assertEqual(response.status, 200, response.body)
        return response.json()["answers"][0]

    def local(self, question=CHOICE):
        """What the model of this machine answers by itself."""
        return self.answer({name: value for name, value in question.items() if name != "escalate_to"})

    def audited(self):
        lines = [json.loads(line)["record"]
                 for line in self.run_program("audit", "tail", "--json", "-n", "2").splitlines()]
        return [(each["action"], each["model"], each["outcome"], each["status"]) for each in lines], lines

    def assert_stands(self, fault, question=CHOICE):
        """The first answer, which abstains, and says why there is no other."""
        answer = self.answer(question)
        self.assertEqual(answer.pop("escalation_fault"), fault)
        self.assertEqual(self.audited()[0][1], ("decision.escalation", "upstream/big", "failed", 502))
        self.assertIsNone(answer["escalated_to"])
        self.assertIs(answer["abstain"], True)
        self.assertEqual(answer, self.local(question))
        self.assertIn(f'malina_escalations_total{{outcome="{fault}",upstream="big"}}',
                      self.server.get("/metrics").body.decode())
        self.assertIn(f"upstream/big gave no answer to 1 of 1 questions: {fault}", self.server.errors())

    def test_an_upstream_answers(self):
        connector = self.connect()
        self.upstream.answer = lambda body: completion(" Refused\n", [(" Ref", -0.25), ("used", -0.25), ("\n", 0.0)])
        response = self.decide(CHOICE).json()
        answer = response["answers"][0]
        self.assertEqual(answer["choice"], "refused")
        self.assertEqual(answer["escalated_to"], "upstream/big")
        self.assertIs(answer["calibrated"], False)
        self.assertAlmostEqual(answer["probability_at_least"], 0.6065306597126334)
        self.assertIs(answer["abstain"], True)  # that is below the threshold
        for unknown in ("probabilities", "confidence", "label_mass"):
            self.assertIsNone(answer[unknown])
        self.assertGreaterEqual(response["usage"]["input_tokens"], 40)
        (path, headers, body), = self.upstream.requests
        self.assertEqual(path, "/v1/chat/completions")
        self.assertEqual(headers["Authorization"], "Bearer sk-upstream")
        self.assertEqual((body["model"], body["temperature"], body["logprobs"]), ("large", 0, True))
        message, = body["messages"]
        self.assertIn("Which intent?", message["content"])
        self.assertIn("- refund: wants money back", message["content"])
        self.assertIn(TEXT, message["content"])
        records, lines = self.audited()
        self.assertEqual(records, [("decision.escalation", "upstream/big", "intent", 0),
                                   ("decision.escalation", "upstream/big", "done", 200)])
        self.assertEqual((lines[1]["prompt_tokens"], lines[1]["completion_tokens"]), (40, 2))
        for where in (self.run_program("audit", "tail", "--json", "-n", "100"), self.server.errors(), connector.said()):
            self.assertNotIn("canary", where)
            self.assertNotIn("sk-upstream", where)
        self.assertEqual(connector.stop(), 0)
        self.assertIn("big: answered", pathlib.Path(self.shared, "connector.log").read_text())

    def test_the_intent_is_recorded_before_the_text_leaves(self):
        self.connect()
        seen = []

        def answer(body):
            seen.extend(self.audited()[0])
            return completion("refused")
        self.upstream.answer = answer
        self.answer(CHOICE)
        self.assertEqual(seen[-1], ("decision.escalation", "upstream/big", "intent", 0))

    def test_without_probabilities_nothing_is_made_up(self):
        self.connect("logprobs = false")
        answer = self.answer(CHOICE)
        self.assertEqual((answer["choice"], answer["probability_at_least"], answer["abstain"]),
                         ("refused", None, False))
        self.assertNotIn("logprobs", self.upstream.requests[0][2])

    def test_every_kind_of_question(self):
        self.connect()
        to = {"abstain_below": 1, "escalate_to": "upstream/big"}
        kinds = {"It is urgent.": "No", "How?": "high", "The thing.": "canary\nmy"}
        self.upstream.answer = lambda body: completion(
            next(answer for start, answer in kinds.items() if body["messages"][0]["content"].startswith(start)))
        response = self.decide(
            {"type": "predicate", "instructions": "It is urgent.", **to},
            {"type": "score", "name": "mood", "instructions": "How?",
             "levels": [{"label": "low"}, {"label": "mid"}, {"label": "high"}], **to},
            {"type": "extract", "name": "thing", "instructions": "The thing.", **to})
        self.assertEqual(response.status, 200, response.body)
        predicate, score, extract = response.json()["answers"]
        self.assertIs(predicate["answer"], False)
        self.assertIsNone(predicate["probability"])
        self.assertEqual((score["level"], score["score"]), ("high", 2))
        self.assertEqual([(span["text"], span["start"]) for span in extract["spans"]],
                         [("canary", TEXT.index("canary")), ("my", TEXT.index("my"))])
        self.assertEqual({each["escalated_to"] for each in (predicate, score, extract)}, {"upstream/big"})
        self.assertEqual(len(self.upstream.requests), 3)

    def test_system_ones_questions(self):
        self.connect()
        self.upstream.answer = lambda body: completion(
            "No" if body["messages"][0]["content"].startswith("Urgent?") else "high")
        body = {"model": "tiny", "state": TEXT, "abstain": 1, "escalate_to": "upstream/big", "questions": {
            "urgent": {"type": "noul", "instructions": "Urgent?"},
            "mood": {"type": "score", "instructions": "How?", "criteria": ["low", "high"]},
            "intent": {"type": "choice", "instructions": "Which?", "criteria": ["card", "refund"]}}}
        response = self.server.post("/v1/systemone", body, key=self.permitted)
        self.assertEqual(response.status, 200, response.body)
        answers = response.json()["answers"]
        self.assertEqual((answers["urgent"]["noul"], answers["urgent"]["answer"]), (None, False))
        self.assertEqual((answers["mood"]["score"], answers["mood"]["probabilities"]), (1, None))
        self.assertEqual({answers[name]["escalated_to"] for name in ("urgent", "mood")}, {"upstream/big"})
        # What it wrote is no answer to the last one, whose first answer stands.
        self.assertEqual((answers["intent"]["escalated_to"], answers["intent"]["escalation_fault"]), (None, "no_label"))
        self.assertAlmostEqual(sum(answers["intent"]["probabilities"].values()), 1)

    def test_many_questions_at_once(self):
        self.connect()
        response = self.decide(*[{**CHOICE, "name": str(i)} for i in range(40)])
        self.assertEqual({each["escalated_to"] for each in response.json()["answers"]}, {"upstream/big"})
        self.assertEqual(len(self.upstream.requests), 40)

    def test_what_is_no_answer_is_not_taken(self):
        self.connect()
        for content in ("I think it is refund.", "", "refund, refused", "3"):
            self.upstream.answer = lambda body: completion(content)
            self.assert_stands("no_label")
        self.upstream.answer = lambda body: completion("refund", finish="length")
        self.assert_stands("no_label")
        extract = {"type": "extract", "name": "t", "instructions": "The thing.", "abstain_below": 1,
                   "escalate_to": "upstream/big"}
        for invented in ("budgie", "canar", "canary, budgie", "secret  canary"):
            self.upstream.answer = lambda body: completion(invented)
            self.assert_stands("no_label", extract)

    def test_what_goes_wrong_there_is_no_fault_of_the_callers(self):
        self.connect('max_answer = "64KiB"')
        for status, fault in ((500, "failed"), (503, "failed"), (401, "refused"), (429, "refused"), (204, "failed")):
            self.upstream.answer = lambda body: (status, b"" if status == 204 else b"canary", {})
            self.assert_stands(fault)
        for content in (b"<html>", {"choices": []}, {"choices": [{"message": {"content": None}}]}):
            self.upstream.answer = lambda body: (200, content, {})
            self.assert_stands("malformed")
        self.upstream.answer = lambda body: completion("refund" + " " * 100_000)
        self.assert_stands("too_large")
        self.assertNotIn("canary", self.connector.said())

    def test_redirects_are_not_followed(self):
        self.connect()
        elsewhere = Upstream()
        self.addCleanup(elsewhere.close)
        for status in (301, 302, 307, 308):
            self.upstream.answer = lambda body: (status, b"", {"Location": elsewhere.url + "/chat/completions"})
            self.assert_stands("failed")
        self.assertEqual(elsewhere.requests, [])
        self.assertEqual({path for path, _, _ in self.upstream.requests}, {"/v1/chat/completions"})

    def test_a_hanging_upstream_has_its_time(self):
        self.connect('timeout = "1s"')
        self.upstream.answer = self.upstream.hang
        began = time.monotonic()
        answer = self.answer(CHOICE)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(answer["escalation_fault"], "timeout")
        self.assertEqual(self.audited()[0][1], ("decision.escalation", "upstream/big", "timeout", 504))

    def test_a_client_that_leaves_ends_the_question(self):
        connector = self.connect()
        self.upstream.answer = self.upstream.hang
        body = json.dumps({"model": "tiny", "input": TEXT, "questions": [CHOICE]}).encode()
        with self.server.socket() as client:
            client.sendall(b"POST /v1/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           b"Authorization: Bearer " + self.permitted.encode() +
                           b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.wait_for(lambda: self.upstream.requests)
        self.wait_for(lambda: "no longer waited for" in connector.said())
        self.wait_for(lambda: self.audited()[0][1] == ("decision.escalation", "upstream/big", "cancelled", 499))

    def wait_for(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_connector_that_is_not_there_or_was_killed(self):
        self.assert_stands("unreachable")
        self.connect()
        self.assertEqual(self.answer(CHOICE)["escalated_to"], "upstream/big")
        self.connector.stop(signal.SIGKILL)
        self.assert_stands("unreachable")
        self.connect()  # in place of the socket that the killed one left
        self.assertEqual(self.answer(CHOICE)["escalated_to"], "upstream/big")
        self.upstream.answer = self.upstream.hang
        waiting = threading.Thread(target=lambda: results.append(self.answer(CHOICE)))
        results = []
        waiting.start()
        self.wait_for(lambda: len(self.upstream.requests) == 3)
        self.connector.stop(signal.SIGKILL)
        waiting.join(30)
        self.assertEqual(results[0]["escalation_fault"], "failed")  # the text had left
        self.assertGreater(self.audited()[1][1]["prompt_tokens"], 0)

    def test_it_ends_in_order(self):
        self.connect()
        self.upstream.answer = self.upstream.hang
        results = []
        waiting = threading.Thread(target=lambda: results.append(self.answer(CHOICE)))
        waiting.start()
        self.wait_for(lambda: self.upstream.requests)
        self.connector.process.send_signal(signal.SIGTERM)
        self.wait_for(lambda: not os.path.exists(self.socket_path()))
        self.upstream.release.set()
        waiting.join(30)
        self.assertEqual(results[0]["escalated_to"], "upstream/big")
        self.assertEqual(self.connector.process.wait(60), 0)

    def test_who_may_not_sends_nothing(self):
        self.connect()
        without = self.new_key("--permit", "infer,train,evaluate,approve,audit,admin")
        for key in (without, self.server.key):
            error = self.assert_error(self.decide(CHOICE, key=key), 403, "missing_permission",
                                      "questions[0].escalate_to")
            self.assertIn("'upstream'", error["message"])
        narrow = self.new_key("--permit", "infer,upstream", "--model", "tiny")
        self.assert_error(self.decide(CHOICE, key=narrow), 400, "upstream_not_allowed")
        named = self.new_key("--permit", "infer,upstream", "--model", "tiny", "--model", "upstream/other")
        self.assert_error(self.decide(CHOICE, key=named), 400, "upstream_not_allowed")
        self.assertEqual(self.upstream.requests, [])
        named = self.new_key("--permit", "infer,upstream", "--model", "tiny", "--model", "upstream/b*")
        self.assertEqual(self.answer(CHOICE, key=named)["escalated_to"], "upstream/big")

    def test_only_names_that_were_allowed(self):
        self.connect()
        for target in ("upstream/unknown", "upstream/", f"upstream/{self.upstream.url}", "upstream/../big",
                       "upstream/big/"):
            error = self.assert_error(self.decide({**CHOICE, "escalate_to": target}), 400, "upstream_not_allowed",
                                      "questions[0].escalate_to")
            self.assertIn("no upstream", error["message"])
        self.assert_error(self.decide({**CHOICE, "escalate_to": self.upstream.url}), 404)
        self.assert_error(self.decide({**CHOICE, "multiple": True}), 400, param="questions[0].escalate_to")
        # Allowed by the server, and not in the connector's configuration.
        answer = self.answer({**CHOICE, "escalate_to": "upstream/other"})
        self.assertEqual((answer["escalation_fault"], answer["escalated_to"]), ("unreachable", None))
        self.assertEqual(self.upstream.requests, [])

    def test_a_tuned_classifier_asks_it_its_own_question(self):
        with open(os.path.join(self.shared, "hard.csv"), "w", encoding="utf-8") as file:
            file.write("text,label\n" + "".join(
                f"row {i} says {i * 7 % 97},{'odd' if (i * i // 7) % 2 else 'even'}\n" for i in range(120)))
        self.run_program("tune", "--model", "tiny", "--data", "hard.csv", "--suffix", "unsure", "--method", "linear")
        self.connect()
        self.upstream.answer = lambda body: completion("Odd", [("Odd", -0.5)])
        ask = lambda target, key=self.permitted: self.server.post(
            "/v1/decisions", {"model": "tiny:unsure", "input": TEXT, "escalate_to": target}, key=key)
        answer, = ask("upstream/big").json()["answers"]
        self.assertEqual((answer["choice"], answer["escalated_to"], answer["calibrated"]), ("odd", "upstream/big", False))
        content = self.upstream.requests[0][2]["messages"][0]["content"]
        for part in ("Which label fits?", "- even", "- odd", TEXT):
            self.assertIn(part, content)
        self.assertEqual(self.audited()[0][1], ("decision.escalation", "upstream/big", "done", 200))
        self.assert_error(ask("upstream/big", self.server.key), 403, "missing_permission", "escalate_to")
        self.assert_error(ask("upstream/no"), 400, "upstream_not_allowed", "escalate_to")
        # The classifier's own answer stands where there is none.
        self.upstream.answer = lambda body: completion("neither")
        answer, = ask("upstream/big").json()["answers"]
        self.assertEqual((answer["escalation_fault"], answer["escalated_to"], answer["abstain"], answer["calibrated"]),
                         ("no_label", None, True, True))
        self.assertEqual(len(self.upstream.requests), 2)

    def test_what_is_sure_stays_here(self):
        self.connect()
        self.assertIsNone(self.answer({**CHOICE, "abstain_below": 0})["escalated_to"])
        self.assertEqual(self.upstream.requests, [])

    def test_quotas_count_it(self):
        self.connect()
        few = self.new_key("--permit", "infer,upstream", "--requests-per-minute", "2")
        response = self.decide(CHOICE, key=few)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers.get_all("x-ratelimit-remaining-requests"), ["0"])
        one = self.new_key("--permit", "infer,upstream", "--requests-per-minute", "1")
        self.assert_error(self.decide(CHOICE, key=one), 429)
        self.assertEqual(len(self.upstream.requests), 1)

    def socket_path(self):
        return os.path.join(self.shared_home, "connector.sock")

    def say(self, line):
        """What the connector answers to a line that is not the server's."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.socket_path())
            try:
                connection.sendall(line)
                connection.shutdown(socket.SHUT_WR)
                return connection.makefile("rb").read()
            except (BrokenPipeError, ConnectionResetError):
                return b""

    def test_the_connector_takes_questions_alone(self):
        self.connect()
        self.assertEqual(stat.S_IMODE(os.stat(self.socket_path()).st_mode), 0o600)
        for line in (b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b"\n", b"\xff\n",
                     b'{"upstream": "big", "message": "x", "most_tokens": 1, "url": "http://127.0.0.1:1/"}\n',
                     b'{"upstream": "http://127.0.0.1/", "message": "x", "most_tokens": 1}\n'):
            self.assertEqual(json.loads(self.say(line))["fault"], "malformed", line)
        for line in (b"", b"{", b'{"upstream": "big", "message": "x", "most_tokens": 1}'):
            self.assertEqual(self.say(line), b"")
        self.assertEqual(self.say(b"x" * (5 << 20)), b"")
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.answer(CHOICE)["escalated_to"], "upstream/big")

    def test_something_else_at_the_socket(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.socket_path())
        self.addCleanup(lambda: os.path.exists(self.socket_path()) and os.remove(self.socket_path()))
        listener.listen()

        def talk():
            for said in (b"nonsense\n", b"", b"x" * (5 << 20)):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    try:
                        connection.sendall(said)
                    except OSError:
                        pass
        threading.Thread(target=talk, daemon=True).start()
        self.assertEqual(self.answer(CHOICE)["escalation_fault"], "malformed")
        for _ in range(2):  # it took the question, whatever it did with it
            self.assertEqual(self.answer(CHOICE)["escalation_fault"], "failed")
        self.assert_refused(program.EXISTS, "another process listens at", self.configure())

    @staticmethod
    def as_another_user(prepare, work):
        """In a process of its own, which has `prepare`d something as this user: what `work` returns, 0 to 250."""
        child = os.fork()
        if child != 0:
            return child
        try:
            prepared = prepare()
            os.setgid(65534)
            os.setuid(65534)
            os._exit(work(prepared))
        except BaseException:
            os._exit(255)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_another_user_is_told_nothing(self):
        self.connect()
        for path, mode in ((self.shared, 0o711), (self.shared_home, 0o711), (self.socket_path(), 0o666)):
            os.chmod(path, mode)
        self.addCleanup(os.chmod, self.shared_home, 0o700)
        line = b'{"upstream": "big", "message": "x", "most_tokens": 1}\n'
        child = self.as_another_user(lambda: None, lambda _: min(len(self.say(line)), 250))
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.wait_for(lambda: "another user" in self.connector.said())
        self.assertEqual(self.upstream.requests, [])

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_another_users_connector_gets_no_text(self):
        def bind():
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.socket_path())
            return listener

        def take(listener):
            listener.settimeout(30)
            listener.listen()  # whose it is, is seen now
            connection, _ = listener.accept()
            return min(len(connection.recv(1 << 16)), 250)
        child = self.as_another_user(bind, take)
        self.addCleanup(lambda: os.remove(self.socket_path()))
        self.wait_for(lambda: os.path.exists(self.socket_path()))
        time.sleep(0.5)  # it listens
        self.assertEqual(self.answer(CHOICE)["escalation_fault"], "unreachable")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def assert_refused(self, code, message, *arguments, environment=None):
        result = subprocess.run([program.PROGRAM, "connector", *arguments], capture_output=True, text=True, timeout=60,
                                env={**self.environment_of_class(), **(environment or {})})
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertRegex(result.stderr, message)
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertNotIn("sk-upstream", result.stderr)

    def test_what_is_wrong_with_a_connector_is_said(self):
        file = self.configure()
        taken = self.path("taken")
        with open(taken, "w") as out:
            out.write("mine")
        self.assert_refused(program.EXISTS, "taken is there already, and is no socket", file, "--socket", taken)
        self.assertEqual(pathlib.Path(taken).read_text(), "mine")
        self.assert_refused(program.USAGE, "a socket's has 1 to 107", file, "--socket", "/tmp/" + "x" * 120)
        self.assert_refused(program.NOT_FOUND, "none.toml", self.path("none.toml"))
        self.assert_refused(program.UNSUPPORTED, "MALINA_OFFLINE", file, environment={"MALINA_OFFLINE": "1"})
        os.chmod(self.key_file, 0o644)
        self.assert_refused(program.USAGE, "upstreams.toml:4: .*big.key", file)
        os.chmod(self.key_file, 0o600)
        self.assert_refused(program.USAGE, "upstreams.toml:2: .*not https", self.configure(url="http://10.0.0.1/v1"))
        self.connect()
        self.assert_refused(program.EXISTS, "another process listens", self.configure())
        self.assertEqual(self.answer(CHOICE)["escalated_to"], "upstream/big")

    def test_nothing_leaves_where_nothing_is_allowed(self):
        """Off by default: a connector that listens changes nothing."""
        self.connect()
        closed = self.start_instead()
        response = closed.post("/v1/decisions", {"model": "tiny", "input": TEXT, "questions": [CHOICE]},
                               key=self.permitted)
        self.assert_error(response, 400, "upstream_not_allowed")
        self.assertEqual(self.upstream.requests, [])
        self.assertNotIn("escalated", closed.said)


if __name__ == "__main__":
    server.main()
