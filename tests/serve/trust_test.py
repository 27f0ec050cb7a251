"""Who may do what: every route with every wrong key, Host and permission, made from the routes' own table."""

import json
import os
import re
import signal
import time

import server


PERMISSIONS = ("infer", "train", "evaluate", "approve", "audit", "admin")

# What a route needs, by the beginning of its path; every other one, also one that is new, needs `infer`.
NEEDS = (("/v1/files", "train"), ("/v1/fine_tuning/", "train"), ("/metrics", "audit"))

# A request of each route that names a model, whole but for that name.
NAMING = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
    "/v1/completions": {"prompt": "x", "max_tokens": 1},
    "/v1/decisions": {"input": "x", "questions": [{"type": "predicate", "name": "a", "instructions": "Is it?"}]},
    "/v1/detokenize": {"tokens": [1]},
    "/v1/embeddings": {"input": "x"},
    "/v1/fine_tuning/jobs": {},
    "/v1/systemone": {"state": "x", "questions": {"a": {"type": "noul", "instructions": "Is it?"}}},
    "/v1/tokenize": {"prompt": "x"},
    "/api/chat": {"messages": [{"role": "user", "content": "x"}], "options": {"num_predict": 1}},
    "/api/embed": {"input": "x"},
    "/api/embeddings": {"prompt": "x"},
    "/api/generate": {"prompt": "x", "options": {"num_predict": 1}},
    "/api/show": {},
}


def needed(path):
    return next((permission for start, permission in NEEDS if path.startswith(start)), "infer")


class TrustTest(server.ServerTest):
    def routes(self):
        document = self.server.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                yield (method.upper(), path.replace("{model}", "tiny"), operation,
                       operation.get("security") == [])

    def test_only_health_and_the_root_are_open(self):
        open_routes = {(method, path) for method, path, _, is_open in self.routes() if is_open}
        self.assertEqual(open_routes, {("GET", "/health"), ("GET", "/")})
        for path in ("/health", "/"):
            self.assertEqual(self.server.request("HEAD", path, key=False).status, 200)

    def ended_keys(self):
        """Keys that were good: one is expired, one revoked, one an older secret of a key that is good."""
        is_good = lambda key: self.server.get("/v1/models", key=key).status == 200
        expired = next((key for seconds in (1, 2, 4, 8, 16) for key in [self.make_key("--expires", f"{seconds}s")]
                        if is_good(key)), None)
        revoked, rotated = self.make_key(), self.make_key()
        self.assertTrue(expired and is_good(revoked) and is_good(rotated))
        self.run_program("key", "revoke", revoked.split(".")[0])
        self.run_program("key", "rotate", rotated.split(".")[0], "--overlap", "0s")
        for key in (expired, revoked, rotated):
            self.wait_for(lambda: self.server.get("/v1/models", key=key).status == 401)
        return expired, revoked, rotated

    def test_every_route_refuses_every_wrong_key(self):
        identity, secret = self.server.key.split(".")
        wrong = [*self.ended_keys(), None, "", "x", "mk_x.y", identity, f"{identity}.", f"{identity}.{'A' * len(secret)}",
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
                for key in ("x", f"{identity}.wrong", "mk_0000000000000000.wrong", *self.ended_keys())}
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

    def test_every_route_needs_the_permission_that_is_its_own(self):
        alone = {each: self.make_key("--permit", each) for each in PERMISSIONS}
        others = {each: self.make_key("--permit", ",".join(one for one in PERMISSIONS if one != each))
                  for each in PERMISSIONS}
        for method, path, _, is_open in self.routes():
            if is_open:
                continue
            need = needed(path)
            keys = [(key, each == need) for each, key in alone.items()] + [(others[need], False)]
            for key, may in keys:
                for verb in (method, "HEAD") if method == "GET" else (method,):
                    with self.subTest(verb=verb, path=path, need=need, may=may, key=key.split(".")[0]):
                        response = self.server.request(verb, path, key=key, body=b"{}" if verb == "POST" else None)
                        if may:
                            self.assertNotIn(response.status, (401, 403))
                            continue
                        self.assertEqual(response.status, 403)
                        if verb != "HEAD":
                            error = response.json()["error"]
                            said = error if path.startswith("/api/") else error["message"]
                            self.assertIn(f"'{need}'", said)
                            if not path.startswith("/api/"):
                                self.assertEqual(error["code"], "missing_permission")

    def test_unknown_routes_tell_nothing_without_a_key(self):
        for path in ("/nothing", "/v1/nothing", "/v1/models/a/b", "//", "/health/", "/v1/%00"):
            self.assertEqual(self.server.get(path, key=False).status, 401, path)
            self.assertEqual(self.server.get(path).status, 404, path)
        self.assertEqual(self.server.request("DELETE", "/v1/models").status, 405)
        self.assertEqual(self.server.request("OPTIONS", "/v1/models").status, 405)
        self.assertIsNone(self.server.request("OPTIONS", "/v1/models", headers={
            "Origin": "http://evil.example"}).headers["access-control-allow-origin"])

    def test_a_model_in_memory_has_the_name_that_a_key_may_use(self):
        self.run_program("alias", "set", "prod=tiny")
        self.addCleanup(self.run_program, "alias", "remove", "prod")
        running = self.start_instead()
        self.assertEqual(running.complete(model="prod", max_tokens=1).status, 200)
        self.assertEqual([model["name"] for model in running.get("/api/ps").json()["models"]], ["prod:latest"])
        for pattern, names in (("tiny", ["tiny:latest"]), ("other", [])):
            key = self.make_key("--model", pattern)
            self.assertEqual([model["name"] for model in running.get("/api/ps", key=key).json()["models"]], names)

    def test_a_key_for_some_models_sees_no_others(self):
        key = self.make_key("--model", "other*")
        self.server.complete(max_tokens=1)  # so that it is in memory
        for path, names in (("/v1/models", "data"), ("/api/tags", "models"), ("/api/ps", "models")):
            self.assertEqual(self.server.get(path, key=key).json()[names], [], path)
            self.assertEqual(len(self.server.get(path).json()[names]), 1, path)
        self.assert_error(self.server.get("/v1/models/tiny", key=key), 404, "model_not_found")

    def test_no_route_names_a_model_that_its_key_may_not_use(self):
        """It is told what it would be told of one that there is not."""
        naming = {path for _, path, operation, _ in self.routes() if "model" in
                  operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get(
                      "schema", {}).get("properties", {})}
        self.assertEqual(naming, set(NAMING))
        self.run_program("alias", "set", "prod=tiny")
        self.addCleanup(self.run_program, "alias", "remove", "prod")
        keys = {allowed: self.make_key("--permit", "infer,train", "--model", allowed)
                for allowed in ("tiny", "prod", "other*")}
        for path, fields in NAMING.items():
            for allowed, key in keys.items():
                if path == "/v1/fine_tuning/jobs":
                    fields = {"training_file": self.server.upload("text,label\na,b\n", key=key)}
                told = {name: self.server.post(path, {"model": name, "stream": False, **fields}
                                               if path.startswith("/api/") and path != "/api/show"
                                               and "embed" not in path else {"model": name, **fields}, key=key)
                        for name in ("tiny", "prod", "none")}
                for name, response in told.items():
                    with self.subTest(path=path, key=allowed, name=name):
                        if name == allowed:
                            self.assertEqual(response.status, 200, response.body)
                            continue
                        self.assertEqual(response.status, told["none"].status)
                        self.assertIn(response.status, (400, 404))
                        without = lambda answer, name: re.sub(rb"req_\w+", b"", answer.body).replace(name, b"")
                        self.assertEqual(without(response, name.encode()), without(told["none"], b"none"))

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
        self.assertEqual(third.headers["x-ratelimit-remaining-requests"], "0")
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
        answer = self.server.chat("hello secret-word", max_tokens=2)
        self.run_program("audit", "verify")
        records = self.audit(200)
        mine = [each for each in records if each["request"] == answer.headers["x-request-id"]]
        self.assertEqual([each["outcome"] for each in mine], ["intent", "done"])
        self.assertEqual(mine[1]["prompt_tokens"], answer.json()["usage"]["prompt_tokens"])
        self.assertNotIn("secret-word", json.dumps(records))
        self.wait_for(lambda: answer.headers["x-request-id"] in self.server.errors())
        self.assertNotIn("secret-word", self.server.errors())

    def test_computed_beginnings_stay_within_a_tenant(self):
        ask = lambda key: self.server.post("/v1/completions", {"model": "tiny", "prompt": "hello " * 120, "max_tokens": 1},
                                           key=key).json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        anna, anne, bert = (self.make_key("--tenant", tenant) for tenant in ("a", "a", "b"))
        self.assertEqual(ask(anna), 0)
        self.assertGreater(ask(anna), 90)
        self.assertGreater(ask(anne), 90)
        self.assertEqual(ask(bert), 0)
        self.assertGreater(ask(bert), 90)


class StreamTest(server.LongTest):
    def test_a_revoked_key_ends_its_open_stream_within_a_second(self):
        def attempt(answers):
            key = self.make_key()
            answer, _ = self.begin(self.server, key, n=answers)
            self.assertEqual(answer.status, 200)
            answer.readline()
            self.run_program("key", "revoke", key.split(".")[0])
            revoked = time.monotonic()
            events = server.Response(200, answer.headers, answer.read()).events()
            return None if events[-1] == "[DONE]" else (key, events[-1], time.monotonic() - revoked)

        key, last, seconds = self.until_met(attempt)
        self.assertEqual(last["error"]["code"], "invalid_api_key")
        self.assertLess(seconds, 2)  # 1 s, on a machine that does much beside
        mine = lambda: [each for each in self.audit(100) if each["principal"] == key.split(".")[0]]
        self.wait_for(lambda: ("revoked", 401) in {(each["outcome"], each["status"]) for each in mine()})
        self.assertGreater(mine()[-1]["completion_tokens"], 0)
        self.assertEqual(self.server.get("/v1/models", key=key).status, 401)
        self.wait_for(lambda: self.gauges()["running"] == 0)

    def test_a_key_has_so_many_streams_at_once(self):
        def attempt(answers):
            key = self.make_key("--streams", "2")
            begun = [self.begin(self.server, key, n=answers) for _ in range(2)]
            self.assertEqual([answer.status for answer, _ in begun], [200, 200])
            third = self.server.complete(max_tokens=1, key=key)
            if third.status == 429:
                return key, begun, third
            for _, connection in begun:
                connection.close()
            return None

        key, begun, third = self.until_met(attempt)
        self.assert_error(third, 429, "rate_limit_exceeded")
        self.assertGreaterEqual(int(third.headers["retry-after"]), 1)
        self.assertEqual(self.server.complete(max_tokens=1).status, 200)  # others have their own
        begun[0][1].close()
        begun[0][0].close()
        self.wait_for(lambda: self.server.complete(max_tokens=1, key=key).status == 200)
        begun[1][1].close()
        begun[1][0].close()
        self.wait_for(lambda: self.gauges()["running"] == 0)


if __name__ == "__main__":
    server.main()
