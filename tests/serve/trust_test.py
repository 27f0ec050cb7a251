"""Who may do what: every route with every wrong key, Host and permission, made from the routes' own table."""

import json
import os
import re
import signal
import time

import server


class TrustTest(server.ServerTest):
    def routes(self):
        document = self.server.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                yield (method.upper(), path.replace("{model}", "tiny"), operation,
                       operation.get("security") == [])

    def make_key(self, *options):
        token = self.run_program("key", "create", "test", *options)
        time.sleep(0.03)  # so long a server may take a key for unknown
        return re.search(r"mk_\S+\.\S+", token)[0]

    def test_only_health_and_the_root_are_open(self):
        open_routes = {(method, path) for method, path, _, is_open in self.routes() if is_open}
        self.assertEqual(open_routes, {("GET", "/health"), ("GET", "/")})
        for path in ("/health", "/"):
            self.assertEqual(self.server.request("HEAD", path, key=False).status, 200)

    def test_every_route_refuses_every_wrong_key(self):
        identity, secret = self.server.key.split(".")
        wrong = [None, "", "x", "mk_x.y", identity, f"{identity}.", f"{identity}.{'A' * len(secret)}",
                 f"{identity}.{secret[:-1]}", f"{identity}.{secret}A", f".{secret}", "a" * 5000]
        for method, path, _, is_open in self.routes():
            for key in wrong:
                for scheme in ("Bearer", "Basic", "bearer bearer"):
                    headers = {} if key is None else {"Authorization": f"{scheme} {key}"}
                    with self.subTest(method=method, path=path, key=key, scheme=scheme):
                        response = self.server.request(method, path, body=b"{}" if method == "POST" else None,
                                                       key=False, headers=headers)
                        self.assertEqual(response.status, 200 if is_open else 401)
                        if not is_open and not path.startswith("/api/"):
                            self.assertEqual(response.json()["error"]["code"], "invalid_api_key")
                        if method == "GET":
                            head = self.server.request("HEAD", path, key=False, headers=headers)
                            self.assertEqual(head.status, response.status)

    def test_wrong_keys_are_all_told_the_same(self):
        identity = self.server.key.split(".")[0]
        told = {re.sub(rb"req_\w+", b"", self.server.get("/v1/models", key=key).body)
                for key in ("x", f"{identity}.wrong", "mk_0000000000000000.wrong")}
        self.assertEqual(len(told), 1)

    def test_every_route_refuses_every_foreign_host(self):
        for method, path, _, _ in self.routes():
            for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "localhost@evil",
                         "127.0.0.1:1:2", "]"):
                with self.subTest(method=method, path=path, host=host):
                    response = self.server.request(method, path, headers={"Host": host},
                                                   body=b"{}" if method == "POST" else None)
                    self.assertEqual(response.status, 403)
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9"):
            self.assertEqual(self.server.get("/health", headers={"Host": host}).status, 200)

    def test_every_route_refuses_a_key_without_its_permission(self):
        keys = {permission: self.make_key("--permit", permission) for permission in
                ("infer", "train", "evaluate", "approve", "audit")}
        for method, path, _, is_open in self.routes():
            if is_open:
                continue
            allowed = []
            for permission, key in keys.items():
                response = self.server.request(method, path, key=key,
                                               body=b"{}" if method == "POST" else None)
                self.assertNotEqual(response.status, 401, path)
                if response.status == 403:
                    if not path.startswith("/api/"):
                        self.assertEqual(response.json()["error"]["code"], "missing_permission")
                else:
                    allowed.append(permission)
            with self.subTest(method=method, path=path):
                self.assertLessEqual(len(allowed), 1)

    def test_unknown_routes_tell_nothing_without_a_key(self):
        for path in ("/nothing", "/v1/nothing", "/v1/models/a/b", "//", "/health/", "/v1/%00"):
            self.assertEqual(self.server.get(path, key=False).status, 401, path)
            self.assertEqual(self.server.get(path).status, 404, path)
        self.assertEqual(self.server.request("DELETE", "/v1/models").status, 405)
        self.assertEqual(self.server.request("OPTIONS", "/v1/models").status, 405)
        self.assertIsNone(self.server.request("OPTIONS", "/v1/models", headers={
            "Origin": "http://evil.example"}).headers["access-control-allow-origin"])

    def test_a_key_for_some_models_sees_no_others(self):
        key = self.make_key("--model", "other*")
        self.assertEqual(self.server.get("/v1/models", key=key).json()["data"], [])
        response = self.server.post("/v1/completions", {"model": "tiny", "prompt": "x"}, key=key)
        self.assert_error(response, 404, "model_not_found")
        unknown = self.server.post("/v1/completions", {"model": "none", "prompt": "x"}, key=key)
        self.assertEqual(response.json()["error"]["message"].replace("tiny", "none"),
                         unknown.json()["error"]["message"])

    def test_a_revoked_key_ends_its_open_stream_within_a_second(self):
        key = self.make_key()
        connection = self.server.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions", json.dumps({
            "model": "tiny", "prompt": "hello", "max_tokens": self.context - 10, "stream": True,
            "logit_bias": {"2": -100}}), self.server.headers(key))
        answer = connection.getresponse()
        answer.readline()
        began = time.monotonic()
        self.run_program("key", "revoke", key.split(".")[0])
        rest = answer.read().decode()
        if "[DONE]" not in rest:  # the tiny model may have been faster
            self.assertIn('"code":"invalid_api_key"', rest)
            self.assertLess(time.monotonic() - began, 5)
            deadline = time.monotonic() + 10  # recorded beside the answer, not before it
            seen = lambda: {(each["outcome"], each["status"]) for each in self.audit(100)}
            while ("revoked", 401) not in seen():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
        end = time.monotonic() + 5
        while self.server.get("/v1/models", key=key).status != 401:
            self.assertLess(time.monotonic(), end)

    def test_quotas_answer_429_with_what_is_left(self):
        key = self.make_key("--requests-per-minute", "2")
        ask = lambda: self.server.post("/v1/completions", {"model": "tiny", "prompt": "x",
                                                           "max_tokens": 1}, key=key)
        first = ask()
        self.assertEqual(first.status, 200)
        self.assertEqual(first.headers["x-ratelimit-limit-requests"], "2")
        self.assertEqual(first.headers["x-ratelimit-remaining-requests"], "1")
        self.assertEqual(ask().status, 200)
        third = ask()
        self.assert_error(third, 429, "rate_limit_exceeded")
        self.assertGreaterEqual(int(third.headers["retry-after"]), 1)
        self.assertLessEqual(int(third.headers["retry-after"]), 60)
        few = self.make_key("--tokens-per-minute", "10")
        response = self.server.post("/v1/completions", {"model": "tiny", "prompt": "x",
                                                        "max_tokens": 100}, key=few)
        self.assert_error(response, 429, "insufficient_quota")
        self.assertEqual(response.headers["x-should-retry"], "false")

    def test_tokenizing_is_a_request_of_the_quota(self):
        key = self.make_key("--requests-per-minute", "2", "--tokens-per-minute", "1000")
        first = self.server.post("/v1/tokenize", {"model": "tiny", "prompt": "hello"}, key=key)
        self.assertEqual((first.status, first.headers["x-ratelimit-remaining-requests"],
                          first.headers["x-ratelimit-remaining-tokens"]), (200, "1", "1000"))
        ids = first.json()["tokens"]
        self.assertEqual(self.server.post("/v1/detokenize", {"model": "tiny", "tokens": ids}, key=key).status, 200)
        for path, body in (("tokenize", {"prompt": "x"}), ("detokenize", {"tokens": ids})):
            self.assert_error(self.server.post(f"/v1/{path}", {"model": "tiny", **body}, key=key), 429,
                              "rate_limit_exceeded")
        # Refusals are recorded beside the answer, not before it.
        deadline = time.monotonic() + 10
        while True:
            mine = [each for each in self.audit(200) if each["principal"] == key.split(".")[0]]
            if len(mine) >= 5 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual([(each["action"], each["outcome"]) for each in mine],
                         [("tokenize", "intent"), ("tokenize", "done"), ("detokenize", "intent"),
                          ("detokenize", "done"), ("request /v1/tokenize", "refused")])
        self.assertEqual(mine[-1]["status"], 429)

    def audit(self, count):
        return [json.loads(line)["record"] for line in
                self.run_program("audit", "tail", "-n", str(count), "--json").splitlines()]

    def test_refusals_are_audited_and_fill_no_disk(self):
        running = self.start_instead()
        key = self.make_key("--permit", "train")
        before = int(self.audit(1)[0]["sequence"])
        for _ in range(50):
            self.assertEqual(running.get("/v1/models", key="wrong").status, 401)
            self.assertEqual(running.get("/v1/models", key=key).status, 403)
        running.stop()  # which ends the minute
        records = [each for each in self.audit(30) if each["sequence"] > before and each["outcome"] == "refused"]
        count = lambda status: [each.get("count", 1) for each in records if each["status"] == status]
        self.assertEqual(count(401), [1, 49])
        self.assertEqual(count(403), [1, 49])
        self.assertEqual({each["action"] for each in records}, {"request /v1/models"})
        self.assertEqual({each["subject"] for each in records}, {"127.0.0.1"})
        self.assertEqual({each["principal"] for each in records if each["status"] == 403}, {key.split(".")[0]})
        self.assertEqual({each["principal"] for each in records if each["status"] == 401}, {""})
        self.run_program("audit", "verify")

    def test_calls_without_a_key_count_as_one_where_that_was_said(self):
        self.assertEqual(self.server.get("/v1/models", key=False).status, 401)
        identity = self.make_key().split(".")[0]
        running = self.start_instead("--trust-loopback", identity)
        self.assertEqual(running.get("/v1/models", key=False).status, 200)
        self.assertEqual(running.get("/metrics", key=False).status, 403)  # and no more than that key
        for headers in ({"Origin": "http://localhost"}, {"Origin": "null"}):
            self.assertEqual(running.get("/v1/models", key=False, headers=headers).status, 401)
        self.assertEqual(running.get("/v1/models", key="wrong").status, 401)
        self.run_program("key", "revoke", identity)
        end = time.monotonic() + 5
        while running.get("/v1/models", key=False).status != 401:
            self.assertLess(time.monotonic(), end)

    def test_what_a_server_keeps_is_private_whatever_the_umask(self):
        home = os.path.join(self.shared, "open")
        environment = dict(self.environment_of_class(), MALINA_HOME=home)
        before = os.umask(0)
        try:
            running = server.Server(home, self.shared, environment=environment)
        finally:
            os.umask(before)
        self.addCleanup(running.close)
        self.assertEqual(running.get("/v1/models").status, 200)
        running.process.send_signal(signal.SIGSTOP)  # with its log as it is
        modes = lambda: {name: os.stat(os.path.join(home, name)).st_mode & 0o777 for name in os.listdir(home)
                         if os.path.isfile(os.path.join(home, name))}
        self.assertEqual(set(modes().values()), {0o600}, modes())
        self.assertIn("malina.db-wal", modes())
        running.process.send_signal(signal.SIGCONT)
        running.stop()
        self.assertIn(running.key, running.said)  # its first start
        self.assertIn("audit.checkpoints", modes())
        self.assertEqual(set(modes().values()), {0o600}, modes())

    def test_the_admins_key_file_is_private(self):
        mode = os.stat(os.path.join(self.shared_home, "admin.key")).st_mode & 0o777
        self.assertEqual(mode, 0o600)

    def test_requests_are_audited_without_a_word_of_them(self):
        self.server.chat("hello secret-word", max_tokens=2)
        self.run_program("audit", "verify")
        records = [json.loads(line) for line in
                   self.run_program("audit", "tail", "-n", "200", "--json").splitlines()]
        self.assertIn("secret-word", "hello secret-word")
        text = json.dumps(records)
        self.assertNotIn("secret-word", text)
        self.assertIn("intent", text)
        self.assertNotIn("secret-word", self.server.errors())


if __name__ == "__main__":
    server.main()
