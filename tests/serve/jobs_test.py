"""Files and tuning jobs over HTTP: from an upload to an answer, through pauses, kills and everything that is wrong."""

import json
import os
import re
import signal
import subprocess
import time

import server
import program  # found by server
from server import BOUNDARY, form

FRUITS = ["apple pie", "banana split", "cherry tart"]
JOBS = "/v1/fine_tuning/jobs"


def rows(count, start=0):
    return "text,label\n" + "".join(
        f"order {i * 7 % 100} of {FRUITS[i % 3]} to table {i % 13},fruit{i % 3}\n"
        for i in range(start, start + count))


def hard_rows(count):
    """No word tells the labels apart: it is trained to the end."""
    return "text,label\n" + "".join(
        f"row {i} says {' '.join(str(i * k % 97) for k in (3, 5, 7, 11))},{'odd' if (i * i // 7) % 2 else 'even'}\n"
        for i in range(count))


def talks(count):
    return "".join(json.dumps({"messages": [
        {"role": "user", "content": f"hello {i % 7}"}, {"role": "assistant", "content": f"yes {i % 5}"}]}) + "\n"
        for i in range(count))


class JobsTest(server.ServerTest):
    def send(self, body, key=True, content_type=f"multipart/form-data; boundary={BOUNDARY}"):
        return self.server.send_form("/v1/files", body, key=key, content_type=content_type)

    def upload(self, content, name="train.csv", key=True):
        response = self.send(form(("purpose", None, "fine-tune"), ("file", name, content)), key)
        self.assertEqual(response.status, 200, response.body)
        return response.json()

    def create(self, file, key=True, **fields):
        return self.server.post(JOBS, {"model": "tiny", "training_file": file["id"], **fields}, key=key)

    def job(self, file, **fields):
        response = self.create(file, **fields)
        self.assertEqual(response.status, 200, response.body)
        return response.json()

    def get(self, job, key=True):
        return self.server.get(f"{JOBS}/{job['id']}", key=key).json()

    def wait(self, job, *states, seconds=3 * server.SECONDS):  # a training takes its time
        end = time.monotonic() + seconds
        while True:
            now = self.get(job)
            if now["status"] in states:
                return now
            self.assertNotIn(now["status"], {"failed", "succeeded", "cancelled"} - set(states), now)
            self.assertLess(time.monotonic(), end, f"{now}\n{self.events(job)}")
            time.sleep(0.05)

    def events(self, job, **more):
        query = "&".join(f"{name}={value}" for name, value in {"limit": 1000, **more}.items())
        return self.server.get(f"{JOBS}/{job['id']}/events?{query}").json()["data"]

    def ask(self, job, verb, key=True):
        return self.server.post(f"{JOBS}/{job['id']}/{verb}", None, key=key)

    def make_key(self, *options):
        token = self.run_program("key", "create", "test", *options)
        time.sleep(0.03)  # so long a server may take a key for unknown
        return re.search(r"mk_\S+\.\S+", token)[0]

    def wait_for_steps(self, job):
        end = time.monotonic() + server.SECONDS
        while not any(event["type"] == "metrics" for event in self.events(job)):
            self.assertLess(time.monotonic(), end, self.events(job))
            time.sleep(0.05)


class WholePath(JobsTest):
    def test_from_a_file_to_an_answer(self):
        file = self.upload(rows(120))
        self.assertEqual((file["object"], file["purpose"], file["status"], file["filename"], file["bytes"]),
                         ("file", "fine-tune", "processed", "train.csv", len(rows(120))))
        job = self.job(file, suffix="fruit", seed=5, metadata={"team": "kitchen"},
                       method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}})
        self.assertIn(job["status"], ("validating_files", "queued", "running"))
        self.assertEqual((job["object"], job["model"], job["seed"], job["fine_tuned_model"]),
                         ("fine_tuning.job", "tiny", 5, None))
        done = self.wait(job, "succeeded")
        self.assertEqual(done["fine_tuned_model"], "tiny:fruit")
        self.assertIsNone(done["error"])
        self.assertGreaterEqual(done["finished_at"], done["created_at"])
        self.assertGreater(done["trained_tokens"], 0)
        self.assertEqual(done["hyperparameters"],
                         {"batch_size": "auto", "learning_rate_multiplier": "auto", "n_epochs": 2})
        answer, = json.loads(self.run_program("decide", "tiny:fruit", "order 3 of banana split to table 9",
                                              "--json"))["answers"]
        self.assertEqual(answer["choice"], "fruit1")

        told = [event["message"] for event in reversed(self.events(job))]
        for message in (f"Created fine-tuning job: {job['id']}", "Files validated, moving job to queued state",
                        "Fine-tuning job started", "The job has successfully completed"):
            self.assertIn(message, told)
        checkpoint, = self.server.get(f"{JOBS}/{job['id']}/checkpoints").json()["data"]
        self.assertEqual((checkpoint["object"], checkpoint["fine_tuned_model_checkpoint"], checkpoint["fine_tuning_job_id"]),
                         ("fine_tuning.job.checkpoint", "tiny:fruit", job["id"]))
        self.assertEqual(checkpoint["metrics"]["full_valid_mean_token_accuracy"], 1.0)
        results, = done["result_files"]
        table = self.server.get(f"/v1/files/{results}/content").body.decode().splitlines()
        self.assertEqual(table[0], "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy")
        self.assertGreater(len(table), 2)
        self.assertEqual(self.server.get(f"/v1/files/{results}").json()["purpose"], "fine-tune-results")

        seen = self.run_program("audit", "tail")
        for action in ("files.create", "file.create", "fine_tuning.jobs.create", "tuning.job.create", "tuning.job"):
            self.assertIn(action, seen)
        self.assertIn(job["id"], seen)
        self.run_program("audit", "verify")
        self.assert_error(self.create(file, suffix="fruit"), 409, "name_taken", "suffix")

    def test_it_is_what_the_command_makes(self):
        """Of few rows: read twice, in steps of 16, as often as suits them."""
        text = rows(90)
        done = self.wait(self.job(self.upload(text), suffix="asked", seed=7), "succeeded")
        self.assertEqual(done["hyperparameters"]["n_epochs"], "auto")
        with open(os.path.join(self.shared, "command.csv"), "w", encoding="utf-8") as file:
            file.write(text)
        self.run_program("tune", "--model", "tiny", "--data", "command.csv", "--suffix", "commanded", "--seed", "7")
        made, commanded = (self.manifest(name) for name in ("tiny:asked", "tiny:commanded"))
        for key in ("members", "labels", "text", "calibration", "recipe"):
            self.assertEqual(made[key], commanded[key], key)
        for rung, other in zip(made["report"]["rungs"], commanded["report"]["rungs"], strict=True):
            self.assertEqual((rung["method"], rung["validation"]), (other["method"], other["validation"]))
        self.assertTrue(made["text"]["twice"], made["text"])

    def test_technique_and_precision_are_asked_for(self):
        file = self.upload(rows(90))
        ours = {"technique": "linear", "precision": "fast"}
        done = self.wait(self.job(file, suffix="plain", hyperparameters=ours), "succeeded")
        self.assertEqual({name: done["hyperparameters"][name] for name in ours}, ours)
        self.assertEqual(done["method"]["supervised"]["hyperparameters"], done["hyperparameters"])
        made = self.manifest("tiny:plain")
        self.assertEqual([rung["method"] for rung in made["report"]["rungs"]], ["linear"])
        fast = self.wait(self.job(file, suffix="fast", hyperparameters={"technique": "lora", "precision": "fast",
                                                                        "n_epochs": 1}), "succeeded")
        self.assertEqual(self.manifest("tiny:fast")["recipe"]["precision"], "fast")
        self.assertEqual(fast["hyperparameters"]["technique"], "lora")
        plain = self.wait(self.job(file, suffix="usual", hyperparameters={"technique": "auto", "precision": "exact",
                                                                          "n_epochs": 1}), "succeeded")
        self.assertEqual(set(plain["hyperparameters"]), {"batch_size", "learning_rate_multiplier", "n_epochs"})
        failed = self.wait(self.job(self.upload(talks(40), "chat.jsonl"), hyperparameters={"technique": "probe"}), "failed")
        self.assertIn("technique probe", failed["error"]["message"])
        for name, value in (("technique", "whole"), ("precision", 1)):
            self.assert_error(self.create(file, hyperparameters={name: value}), 400, "invalid_value", f"hyperparameters.{name}")

    def manifest(self, name):
        with open(os.path.join(self.shared, "home", "tuned", name, "malina.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_conversations_teach_a_model_to_write(self):
        job = self.job(self.upload(talks(40), "chat.jsonl"), suffix="chatty", seed=2, hyperparameters={"n_epochs": 2})
        done = self.wait(job, "succeeded", seconds=3 * server.SECONDS)
        self.assertEqual(done["fine_tuned_model"], "tiny:chatty")
        checkpoint, = self.server.get(f"{JOBS}/{job['id']}/checkpoints").json()["data"]
        self.assertGreater(checkpoint["step_number"], 0)
        self.assertGreater(checkpoint["metrics"]["full_valid_loss"], 0)
        answer = self.server.chat("hello 3", max_tokens=5)
        self.assertEqual(answer.status, 200)
        answer = self.server.post("/v1/chat/completions", {
            "model": "tiny:chatty", "max_tokens": 5, "messages": [{"role": "user", "content": "hello 3"}]})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertIn("tiny:chatty", [model["id"] for model in self.server.get("/v1/models").json()["data"]])

    def test_all_weights_of_a_model_learn(self):
        file = self.upload(talks(40), "chat.jsonl")
        whole = {"technique": "full", "n_epochs": 2}
        done = self.wait(self.job(file, suffix="whole", seed=2, hyperparameters=whole), "succeeded")
        self.assertEqual(done["fine_tuned_model"], "tiny-whole")  # a model of its own
        self.assertEqual(done["hyperparameters"]["technique"], "full")
        checkpoint, = self.server.get(f"{JOBS}/{done['id']}/checkpoints").json()["data"]
        self.assertGreater(checkpoint["step_number"], 0)
        ask = lambda model: self.server.post("/v1/chat/completions", {
            "model": model, "max_tokens": 5, "logprobs": True, "messages": [{"role": "user", "content": "hello 3"}]})
        answers = [ask(model) for model in ("tiny", "tiny-whole")]
        self.assertEqual([answer.status for answer in answers], [200, 200], answers[1].body)
        self.assertNotEqual(*(answer.json()["choices"][0]["logprobs"] for answer in answers))
        self.assertIn("tiny-whole", [model["id"] for model in self.server.get("/v1/models").json()["data"]])
        left = os.listdir(os.path.join(self.shared_home, "tuned"))
        self.assertFalse([name for name in left if "whole" in name], left)
        self.assert_error(self.create(file, suffix="whole", hyperparameters=whole), 409, "name_taken", "suffix")
        failed = self.wait(self.job(self.upload(rows(60)), suffix="other", hyperparameters=whole), "failed")
        self.assertIn("technique full", failed["error"]["message"])
        self.assertEqual((failed["error"]["code"], failed["error"]["param"]), ("invalid_value", "hyperparameters.technique"))
        self.assert_error(self.create(file, suffix="other", hyperparameters={**whole, "precision": "fast"}), 400,
                          "invalid_value", "hyperparameters.precision")
        narrow = self.make_key("--permit", "train", "--model", "tiny")
        self.assert_error(self.create(file, key=narrow, suffix="other", hyperparameters=whole), 400, "invalid_value", "suffix")


class Files(JobsTest):
    def test_what_came_is_given_back(self):
        content = bytes(range(256)) * 4000 + b"\r\n--" + BOUNDARY.encode()[:-1]
        file = self.upload(content, "../x.JSONL")
        self.assertEqual(file["bytes"], len(content))
        got = self.server.get(f"/v1/files/{file['id']}/content")
        self.assertEqual(got.body, content)
        self.assertEqual(got.headers["content-type"], "application/octet-stream")
        self.assertEqual(self.server.get(f"/v1/files/{file['id']}").json(), file)
        head = self.server.request("HEAD", f"/v1/files/{file['id']}/content")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-length"], str(len(content)))
        empty = self.upload(b"", "empty.csv")
        self.assertEqual(self.server.get(f"/v1/files/{empty['id']}/content").body, b"")
        gone = self.server.request("DELETE", f"/v1/files/{file['id']}")
        self.assertEqual(gone.json(), {"id": file["id"], "object": "file", "deleted": True})
        for path in (f"/v1/files/{file['id']}", f"/v1/files/{file['id']}/content"):
            self.assert_error(self.server.get(path), 404, "file_not_found")
        self.assert_error(self.server.request("DELETE", f"/v1/files/{file['id']}"), 404, "file_not_found")
        self.assertFalse([name for name in os.listdir(os.path.join(self.shared_home, "files")) if file["id"] in name])

    def test_lists_come_in_pages(self):
        key = self.make_key("--permit", "train", "--tenant", "pages")
        ids = [self.upload("x", f"{i}.csv", key)["id"] for i in range(5)]
        def pages(order):
            seen, after = [], ""
            while True:
                page = self.server.get(f"/v1/files?limit=2&order={order}" + (f"&after={after}" if after else ""), key=key).json()
                seen += [file["id"] for file in page["data"]]
                self.assertEqual((page["object"], page["first_id"], page["last_id"]),
                                 ("list", page["data"][0]["id"], page["data"][-1]["id"]))
                if not page["has_more"]:
                    return seen
                after = page["last_id"]
        self.assertEqual(pages("asc"), ids)
        self.assertEqual(pages("desc"), ids[::-1])
        self.assertEqual(self.server.get("/v1/files?purpose=fine-tune-results", key=key).json()["data"], [])
        for query, parameter in (("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=x", "after"),
                                 ("limit=1&limit=2", "limit"), ("nothing=1", "nothing")):
            self.assert_error(self.server.get("/v1/files?" + query, key=key), 400, param=parameter)

    def test_what_is_wrong_with_an_upload_is_named(self):
        good = ("file", "a.csv", rows(3))
        purpose = ("purpose", None, "fine-tune")
        for body, code, parameter in (
                (form(good), "missing_required_parameter", "purpose"),
                (form(purpose), "missing_required_parameter", "file"),
                (form(purpose, ("file", None, "x")), "invalid_value", "file"),
                (form(purpose, ("file", "", "x")), "invalid_value", "file"),
                (form(purpose, ("file", "x" * 300, "x")), "invalid_value", "file"),
                (form(("purpose", None, "assistants"), good), "invalid_value", "purpose"),
                (form(purpose, good, ("colour", None, "red")), "unknown_parameter", "colour"),
                (form(purpose, good, ("expires_after[anchor]", None, "created_at")), "unsupported_parameter",
                 "expires_after[anchor]"),
                (form(purpose, purpose, good), None, "purpose"),
                (form(purpose, good, good), None, "file"),
                (form(purpose, good, ("other", "b.csv", "x")), None, "other"),
                (form(("purpose", None, "x" * 5000), good), "invalid_value", "purpose"),
                (form(("purpose", None, b"\xff"), good), "invalid_value", None),
                (form(purpose, good)[:-9], "invalid_multipart", None),
                (form(purpose, good, boundary="other"), "invalid_multipart", None),
                (b"", "invalid_multipart", None)):
            with self.subTest(body=body[:200]):
                self.assert_error(self.send(body), 400, code, parameter)
        for kind in ("application/json", "", "multipart/mixed; boundary=x"):
            self.assert_error(self.send(b"{}", content_type=kind), 400, "invalid_content_type")
        self.assertEqual(self.server.get("/v1/files?purpose=assistants").json()["data"], [])
        left = [name for name in os.listdir(os.path.join(self.shared_home, "files")) if name.endswith(".part")]
        self.assertEqual(left, [])

    def test_an_upload_that_is_cut_leaves_nothing(self):
        before = sorted(os.listdir(os.path.join(self.shared_home, "files")))
        body = form(("purpose", None, "fine-tune"), ("file", "a.csv", "x" * 2000000))
        for share in (0.2, 0.9):
            with self.server.socket() as client:
                client.sendall((f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.key}\r\n"
                                f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
                                f"Content-Length: {len(body)}\r\n\r\n").encode() + body[:int(len(body) * share)])
                time.sleep(0.2)
        end = time.monotonic() + server.SECONDS
        while sorted(os.listdir(os.path.join(self.shared_home, "files"))) != before:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_a_file_in_chunks_after_a_go_ahead(self):
        body = form(("purpose", None, "fine-tune"), ("file", "a.csv", "x" * 700000))
        with self.server.socket() as client:
            client.sendall((f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.server.key}\r\n"
                            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nConnection: close\r\n"
                            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
            self.assertIn(b"100 Continue", client.recv(1000))
            for at in range(0, len(body), 50000):
                piece = body[at:at + 50000]
                client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            client.sendall(b"0\r\n\r\n")
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        self.assertIn(b" 200 OK", answer)
        self.assertIn(b'"bytes":700000', answer)


class Limits(JobsTest):
    options = ("--max-file", "1MiB", "--tenant-files", "3MiB", "--tenant-jobs", "2", "--max-body", "64KiB")

    def test_a_file_may_be_larger_than_a_body_but_not_than_a_file(self):
        self.assertEqual(self.upload("x" * (1 << 20))["bytes"], 1 << 20)
        large = self.send(form(("purpose", None, "fine-tune"), ("file", "a.csv", "x" * (2 << 20))))
        self.assertEqual(large.status, 413)
        self.assertIn("--max-file", large.json()["error"]["message"])
        self.assertEqual(self.server.post(JOBS, {"model": "x" * (1 << 17)}).status, 413)

    def test_a_tenants_files_are_limited_together(self):
        key = self.make_key("--permit", "train", "--tenant", "limits")
        for _ in range(3):
            self.upload("x" * 1000000, key=key)
        full = self.send(form(("purpose", None, "fine-tune"), ("file", "a.csv", "x" * 1000000)), key)
        self.assert_error(full, 429, "insufficient_quota")
        self.assertEqual(full.headers["x-should-retry"], "false")
        first = self.server.get("/v1/files?limit=1", key=key).json()["data"][0]
        self.server.request("DELETE", f"/v1/files/{first['id']}", key=key)
        self.upload("x" * 1000000, key=key)

    def test_a_tenants_jobs_are_limited_together(self):
        key = self.make_key("--permit", "train", "--tenant", "jobs")
        file = self.upload(hard_rows(600), key=key)
        long = {"n_epochs": 50, "batch_size": 4}
        first, second = (self.create(file, key=key, suffix=suffix, hyperparameters=long) for suffix in ("one", "two"))
        self.assertEqual((first.status, second.status), (200, 200))
        more = self.create(file, key=key, suffix="three")
        self.assert_error(more, 429, "too_many_jobs")
        self.assertIn("2 fine-tuning jobs", more.json()["error"]["message"])
        self.assertIn("retry-after", more.headers)
        again = self.create(file, key=key, suffix="two", hyperparameters=long)  # the one that there is
        self.assertEqual(again.json()["id"], second.json()["id"])
        other = self.make_key("--permit", "train", "--tenant", "elsewhere")
        theirs = self.create(self.upload(rows(60), key=other), key=other, suffix="theirs")
        self.assertEqual(theirs.status, 200)
        self.assertEqual(self.ask(second.json(), "cancel", key).status, 200)
        third = self.create(file, key=key, suffix="three")
        self.assertEqual(third.status, 200)
        for job, owner in ((first, key), (third, key), (theirs, other)):
            self.assertEqual(self.ask(job.json(), "cancel", owner).status, 200)


class Memory(JobsTest):
    options = ("--memory", "6MiB", "--max-bodies", "4MiB")

    def test_a_job_that_can_never_fit_says_so(self):
        job = self.job(self.upload(rows(60)))
        failed = self.wait(job, "failed")
        self.assertEqual(failed["error"]["code"], "out_of_memory")
        self.assertIn("MiB", failed["error"]["message"])
        whole = self.wait(self.job(self.upload(talks(40), "chat.jsonl"), hyperparameters={"technique": "full"}), "failed")
        self.assertEqual(whole["error"]["code"], "out_of_memory")
        self.assertIn("all weights", whole["error"]["message"])


class Repetitions(JobsTest):
    def test_a_request_that_comes_again_creates_nothing_again(self):
        content = rows(60)
        send = lambda key, **fields: self.server.request(
            "POST", "/v1/files", form(("purpose", None, "fine-tune"), ("file", fields.get("name", "a.csv"), content)),
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Idempotency-Key": key})
        first = send("one").json()
        self.assertEqual(send("one").json(), first)
        self.assertNotEqual(send("two").json()["id"], first["id"])
        self.assertEqual(len([name for name in os.listdir(os.path.join(self.shared_home, "files"))
                              if first["id"] in name]), 1)
        other = send("one", name="b.csv")
        self.assert_error(other, 422, "idempotency_key_reused")
        self.assertEqual(other.json()["error"]["type"], "unprocessable_error")
        self.assertEqual(other.headers["x-should-retry"], "false")
        for wrong in ("x" * 256, "a b"):
            self.assert_error(send(wrong), 400, "invalid_idempotency_key")
        stranger = self.make_key("--permit", "train", "--tenant", "elsewhere")
        body = {"model": "tiny", "training_file": first["id"], "suffix": "again", "hyperparameters": {"n_epochs": 1}}
        ask = lambda key, **more: self.server.request("POST", "/v1/fine_tuning/jobs", json.dumps({**body, **more}).encode(),
                                                      headers={"Content-Type": "application/json", "Idempotency-Key": key})
        job = ask("three").json()
        self.wait(job, "succeeded")
        self.assertEqual(ask("three").json()["id"], job["id"])  # though it is over
        self.server.request("DELETE", f"/v1/files/{first['id']}")
        self.assertEqual(ask("three").json()["id"], job["id"])  # and its file is there no more
        self.assert_error(ask("three", seed=7), 422, "idempotency_key_reused")
        self.assert_error(ask("one"), 422, "idempotency_key_reused")
        theirs = self.server.request("POST", "/v1/files", form(("purpose", None, "fine-tune"), ("file", "b.csv", content)),
                                     headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                                              "Idempotency-Key": "one"}, key=stranger)
        self.assertEqual(theirs.status, 200)


class Jobs(JobsTest):
    def long_job(self, suffix, **fields):
        """Takes far longer than a test, where nobody ends it."""
        file = self.upload(hard_rows(600))
        return self.job(file, suffix=suffix, seed=1, hyperparameters={"n_epochs": 50, "batch_size": 4}, **fields)

    def test_pause_and_resume(self):
        job = self.long_job("paused")
        self.wait_for_steps(job)
        self.assertEqual(self.ask(job, "pause").json()["status"], "paused")
        self.assert_error(self.ask(job, "pause"), 409, "invalid_job_status")
        other = self.job(self.upload(rows(60)), suffix="between", hyperparameters={"n_epochs": 1})
        self.wait(other, "succeeded")  # a paused job keeps nobody waiting
        with open(os.path.join(self.shared, "mine.csv"), "w", encoding="utf-8") as file:
            file.write(rows(60))
        self.run_program("tune", "--model", "tiny", "--method", "linear", "--data", "mine.csv", "--suffix", "paused",
                         code=4)  # the name is the job's
        self.assertEqual(self.get(job)["status"], "paused")
        steps = max(event["data"]["step"] for event in self.events(job) if event["type"] == "metrics")
        self.assertEqual(self.ask(job, "resume").json()["status"], "queued")
        self.assert_error(self.ask(job, "resume"), 409, "invalid_job_status")
        end = time.monotonic() + server.SECONDS
        while True:
            events = self.events(job)  # newest first
            resumed = [event["message"] for event in events].index("The job was resumed")
            new = [event["data"]["step"] for event in events[:resumed] if event["type"] == "metrics"]
            if new:
                break
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertGreaterEqual(min(new), steps)  # goes on, and does not begin anew
        self.assertEqual(self.ask(job, "cancel").json()["status"], "cancelled")

    def test_a_cancelled_job_leaves_nothing(self):
        job = self.long_job("cancelled")
        self.wait_for_steps(job)
        cancelled = self.ask(job, "cancel").json()
        self.assertEqual(cancelled["status"], "cancelled")
        self.assertIsNotNone(cancelled["finished_at"])
        for verb in ("cancel", "pause", "resume"):
            self.assert_error(self.ask(job, verb), 409, "invalid_job_status")
        end = time.monotonic() + server.SECONDS
        tuned = os.path.join(self.shared_home, "tuned")
        while [name for name in os.listdir(tuned) if "cancelled" in name]:
            self.assertLess(time.monotonic(), end, os.listdir(tuned))
            time.sleep(0.05)
        self.assertEqual(self.server.request("DELETE", f"/v1/files/{job['training_file']}").status, 200)

    def test_all_weights_pause_and_go_on_and_leave_nothing_when_cancelled(self):
        job = self.job(self.upload(talks(400), "chat.jsonl"), suffix="heavy", seed=1,
                       hyperparameters={"n_epochs": 50, "batch_size": 4, "technique": "full"})
        self.wait_for_steps(job)
        self.assertEqual(self.ask(job, "pause").json()["status"], "paused")
        tuned = os.path.join(self.shared_home, "tuned")
        end = time.monotonic() + server.SECONDS
        while not [name for name in os.listdir(tuned) if "heavy" in name]:  # its snapshot
            self.assertLess(time.monotonic(), end, os.listdir(tuned))
            time.sleep(0.05)
        steps = max(event["data"]["step"] for event in self.events(job) if event["type"] == "metrics")
        self.assertEqual(self.ask(job, "resume").json()["status"], "queued")
        new = []
        while not new:
            events = self.events(job)  # newest first
            resumed = [event["message"] for event in events].index("The job was resumed")
            new = [event["data"]["step"] for event in events[:resumed] if event["type"] == "metrics"]
            self.assertLess(time.monotonic(), end, events)
            time.sleep(0.05)
        self.assertGreaterEqual(min(new), steps)  # goes on, and does not begin anew
        # The name is the job's. A classifier that was put there all the same is somebody else's.
        with open(os.path.join(self.shared, "theirs.csv"), "w", encoding="utf-8") as file:
            file.write(rows(60))
        theirs = ["tune", "--method", "linear", "--data", "theirs.csv", "--suffix", "tiny-heavy"]
        self.run_program(*theirs, code=4)
        self.run_program(*theirs, "--output", os.path.join(tuned, "tiny-heavy"), code=4)
        self.run_program(*theirs, "--output", "theirs")
        os.rename(os.path.join(self.shared, "theirs"), os.path.join(tuned, "tiny-heavy"))
        self.assertEqual(self.ask(job, "cancel").json()["status"], "cancelled")
        while [name for name in os.listdir(tuned) if "heavy" in name] != ["tiny-heavy"]:
            self.assertLess(time.monotonic(), end, os.listdir(tuned))
            time.sleep(0.05)

    def test_a_job_that_fails_leaves_nothing(self):
        self.run_program("import", os.path.join(self.shared, "tiny.gguf"), "--name", "spare")
        response = self.server.post(JOBS, {
            "model": "spare", "training_file": self.upload(talks(400), "chat.jsonl")["id"], "suffix": "orphan",
            "hyperparameters": {"n_epochs": 50, "batch_size": 4, "technique": "full"}})
        job = response.json()
        self.wait_for_steps(job)
        self.ask(job, "pause")
        tuned = os.path.join(self.shared_home, "tuned")
        end = time.monotonic() + server.SECONDS
        while not [name for name in os.listdir(tuned) if "orphan" in name]:  # its snapshot
            self.assertLess(time.monotonic(), end, os.listdir(tuned))
            time.sleep(0.05)
        self.run_program("remove", "spare")
        self.ask(job, "resume")
        self.assertEqual(self.wait(job, "failed")["error"]["code"], "model_not_found")
        while [name for name in os.listdir(tuned) if "orphan" in name]:
            self.assertLess(time.monotonic(), end, os.listdir(tuned))
            time.sleep(0.05)

    def linear(self, suffix):
        with open(os.path.join(self.shared_home, "tuned", f"tiny:{suffix}", "linear.bin"), "rb") as file:
            return file.read()

    def killed_job(self, epochs):
        """A job at whose work the server was killed, or None where a fast machine had ended it before."""
        job = self.job(self.upload(hard_rows(600)), suffix=f"killed{epochs}", seed=1,
                       hyperparameters={"n_epochs": epochs, "batch_size": 4})
        self.wait_for_steps(job)
        self.server.stop(signal.SIGKILL)
        type(self).server = self.start(*self.options)
        done = self.wait(job, "succeeded", seconds=3 * server.SECONDS)
        told = [event["message"] for event in self.events(job)]
        return done if any("started anew" in message for message in told) else None

    def test_a_killed_server_goes_on_with_its_job(self):
        for epochs in (8, 24, 50):  # how long it takes is the machine's
            done = self.killed_job(epochs)
            if done:
                break
        self.assertIsNotNone(done)
        suffix = f"killed{epochs}"
        self.assertEqual(done["fine_tuned_model"], f"tiny:{suffix}")
        killed = self.linear(suffix)
        other = self.job({"id": done["training_file"]}, suffix="calm", seed=1,
                         hyperparameters={"n_epochs": epochs, "batch_size": 4})
        calm = self.wait(other, "succeeded", seconds=3 * server.SECONDS)
        self.assertEqual(self.linear("calm"), killed)
        self.assertEqual(calm["trained_tokens"], done["trained_tokens"])  # each step is counted once

    def test_a_server_that_stops_keeps_its_job(self):
        job = self.long_job("stopped")
        self.wait_for_steps(job)
        self.assertEqual(self.server.stop(), 0)
        self.assertIn("tiny:stopped.snapshot", os.listdir(os.path.join(self.shared_home, "tuned")))
        type(self).server = self.start(*self.options)
        told = [event["message"] for event in self.events(job)]
        self.assertTrue(any("The server stops" in message for message in told), told)
        self.wait(job, "running")
        self.ask(job, "cancel")

    def test_what_is_wrong_with_the_data_fails_the_job(self):
        broken = self.job(self.upload("text,label\na,b\nc\n" + rows(60)[11:]), suffix="broken")
        failed = self.wait(broken, "failed")
        self.assertEqual((failed["error"]["code"], failed["error"]["param"]), ("invalid_training_file", "training_file"))
        self.assertIn("line 3", failed["error"]["message"])
        self.assertNotIn(self.shared, failed["error"]["message"])
        self.assertIsNone(failed["fine_tuned_model"])
        for content in ("", "\0\1\2", "one,two,three\n1,2,3\n", "text,label\na,b\n"):
            failed = self.wait(self.job(self.upload(content), suffix="broken"), "failed")
            self.assertTrue(failed["error"]["message"])
            self.assertNotIn(self.shared, failed["error"]["message"])
            self.assertEqual(self.events(failed)[0]["level"], "error")
        leak = self.job(self.upload(rows(60)), suffix="leak", validation_file=self.upload(rows(60))["id"])
        failed = self.wait(leak, "failed")
        self.assertEqual(failed["error"]["param"], "validation_file")

    def test_what_is_wrong_with_a_job_is_named(self):
        file = self.upload(rows(30))
        for fields, status, code, parameter in (
                ({"model": "none"}, 404, "model_not_found", None),
                ({"model": ""}, 400, "invalid_value", "model"),
                ({"training_file": "file-none"}, 400, "invalid_file", "training_file"),
                ({"validation_file": "../x"}, 400, "invalid_file", "validation_file"),
                ({"suffix": "a/b"}, 400, "invalid_value", "suffix"),
                ({"suffix": "x" * 65}, 400, "invalid_value", "suffix"),
                ({"suffix": "../x"}, 400, "invalid_value", "suffix"),
                ({"seed": -1}, 400, "invalid_value", "seed"),
                ({"hyperparameters": {"n_epochs": 0}}, 400, "invalid_value", "hyperparameters.n_epochs"),
                ({"hyperparameters": {"n_epochs": "many"}}, 400, "invalid_value", "hyperparameters.n_epochs"),
                ({"hyperparameters": {"epochs": 3}}, 400, "unknown_parameter", "hyperparameters.epochs"),
                ({"method": {"type": "dpo"}}, 400, "invalid_value", "method.type"),
                ({"method": {"type": "supervised", "dpo": {}}}, 400, "unsupported_parameter", "method.dpo"),
                ({"method": {"supervised": {}}}, 400, "missing_required_parameter", "method.type"),
                ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 1000}}}}, 400,
                 "invalid_value", "method.supervised.hyperparameters.batch_size"),
                ({"integrations": [{"type": "wandb"}]}, 400, "unsupported_parameter", "integrations"),
                ({"metadata": {"a": 1}}, 400, "invalid_value", "metadata.a"),
                ({"metadata": {"a": "x" * 513}}, 400, "invalid_value", "metadata.a"),
                ({"metadata": {"x" * 65: "a"}}, 400, "invalid_value", "metadata"),
                ({"metadata": {str(i): "x" for i in range(17)}}, 400, "invalid_value", "metadata"),
                ({"colour": "red"}, 400, "unknown_parameter", "colour")):
            with self.subTest(fields=fields):
                self.assert_error(self.create(file, **fields), status, code, parameter)
        self.assert_error(self.server.post(JOBS, {"model": "tiny"}), 400, "missing_required_parameter", "training_file")
        for path in (f"{JOBS}/ftjob-none", f"{JOBS}/ftjob-none/events", f"{JOBS}/ftjob-none/checkpoints"):
            self.assert_error(self.server.get(path), 404, "fine_tune_not_found")
        for verb in ("cancel", "pause", "resume"):
            self.assert_error(self.server.post(f"{JOBS}/ftjob-none/{verb}", None), 404, "fine_tune_not_found")
        self.assertEqual(self.create(file, suffix="neutral", integrations=None, validation_file=None, seed=None,
                                     method={"type": "supervised", "dpo": None}).status, 200)

    def test_a_job_that_is_asked_for_twice_is_one(self):
        blocker = self.long_job("blocker")
        file = self.upload(rows(60))
        first, second = (self.job(file, suffix="twice", metadata={"a": "b"}) for _ in range(2))
        self.assertEqual(first["id"], second["id"])
        self.assert_error(self.create(file, suffix="twice", seed=9), 409, "name_taken", "suffix")
        self.assert_error(self.server.request("DELETE", f"/v1/files/{file['id']}"), 409, "file_in_use")
        found = self.server.get(f"{JOBS}?metadata[a]=b").json()
        self.assertEqual([job["id"] for job in found["data"]], [first["id"]])
        self.assertEqual(self.ask(first, "cancel").json()["status"], "cancelled")
        self.assertEqual(self.ask(blocker, "cancel").json()["status"], "cancelled")
        self.assertEqual(self.server.get(f"{JOBS}?limit=1").json()["has_more"], True)
        newest = self.server.get(f"{JOBS}?limit=1").json()["data"][0]["id"]
        after = self.server.get(f"{JOBS}?limit=1&after={newest}").json()["data"][0]["id"]
        self.assertEqual({newest, after}, {first["id"], blocker["id"]})

    def test_a_name_that_the_command_line_tunes_is_no_jobs(self):
        """Until it has ended: a job would take what it left for its own."""
        file = self.upload(rows(60))
        with open(os.path.join(self.shared, "hard.csv"), "w", encoding="utf-8") as data:
            data.write(hard_rows(600))
        tune = ["tune", "--model", "tiny", "--method", "lora", "--data", "hard.csv", "--suffix", "held", "--epochs", "50",
                "--batch", "4"]
        snapshot = os.path.join(self.shared_home, "tuned", "tiny:held.snapshot")
        process = subprocess.Popen([program.PROGRAM, *tune], env=self.environment_of_class(), cwd=self.shared,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 3 * server.SECONDS
            while not os.path.exists(snapshot):
                self.assertIsNone(process.poll())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
            self.assert_error(self.create(file, suffix="held"), 409, "name_taken", "suffix")
            again = subprocess.run([program.PROGRAM, *tune], env=self.environment_of_class(), cwd=self.shared,
                                   capture_output=True, text=True, timeout=server.SECONDS)
            self.assertIn(f"tiny:held is being tuned (process {process.pid})", again.stderr)
        finally:
            process.kill()
            process.wait()
        self.assert_error(self.create(file, suffix="held"), 409, "name_taken", "suffix")
        self.assertTrue(os.path.exists(snapshot))
        os.remove(snapshot)
        job = self.job(file, suffix="held", hyperparameters={"technique": "linear"})
        self.wait(job, "succeeded")

    def test_a_cancelled_job_keeps_its_name_until_it_has_stopped(self):
        """What the command line makes under it is not what the job left."""
        large = {"n_epochs": 50, "batch_size": 256}
        job = self.job(self.upload(hard_rows(600)), suffix="brief", seed=1, hyperparameters=large)
        self.wait_for_steps(job)
        self.assertEqual(self.ask(job, "cancel").json()["status"], "cancelled")
        with open(os.path.join(self.shared, "brief.csv"), "w", encoding="utf-8") as file:
            file.write(rows(60))
        end = time.monotonic() + 3 * server.SECONDS
        while True:
            made = subprocess.run([program.PROGRAM, "tune", "--model", "tiny", "--method", "linear", "--data", "brief.csv",
                                   "--suffix", "brief"], env=self.environment_of_class(), cwd=self.shared,
                                  capture_output=True, text=True, timeout=server.SECONDS)
            if made.returncode == 0:
                break
            self.assertIn("tiny:brief is being tuned (process ", made.stderr)
            self.assertLess(time.monotonic(), end)
        # Whoever works on jobs is at another one.
        self.wait(self.job(self.upload(rows(60)), suffix="after", hyperparameters={"technique": "linear"}), "succeeded")
        self.run_program("decide", "tiny:brief", "order 3 of banana split to table 9")

    def test_tenants_are_apart(self):
        anna = self.make_key("--permit", "train", "--tenant", "anna")
        bert = self.make_key("--permit", "train", "--tenant", "bert")
        file = self.upload(rows(30), key=anna)
        self.assertEqual(self.server.get("/v1/files", key=bert).json()["data"], [])
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            response = self.server.request(method, f"/v1/files/{file['id']}{path}", key=bert)
            self.assert_error(response, 404, "file_not_found")
        self.assert_error(self.create(file, key=bert), 400, "invalid_file", "training_file")
        job = self.create(file, key=anna, suffix="annas").json()
        self.assertEqual(job["organization_id"], "anna")
        self.assertEqual(self.server.get(JOBS, key=bert).json()["data"], [])
        self.assert_error(self.server.get(f"{JOBS}?after={job['id']}", key=bert), 400, param="after")
        for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/checkpoints"), ("POST", "/cancel"),
                             ("POST", "/pause"), ("POST", "/resume")):
            response = self.server.request(method, f"{JOBS}/{job['id']}{path}", key=bert)
            self.assert_error(response, 404, "fine_tune_not_found")
        only = self.make_key("--permit", "train", "--model", "other*", "--tenant", "anna")
        self.assert_error(self.create(file, key=only), 404, "model_not_found")
        infer = self.make_key("--permit", "infer")
        self.assert_error(self.server.get("/v1/files", key=infer), 403, "missing_permission")


class FullDisk(JobsTest):
    def test_a_full_disk_pauses_a_job_until_there_is_room(self):
        """A real one where this user may mount."""
        mount = os.path.join(self.shared, "disk")
        os.makedirs(mount)
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", mount], capture_output=True)
        if made.returncode != 0:
            return
        try:
            self.check_full_disk(mount)
        finally:
            subprocess.run(["umount", "-l", mount], check=True)

    def fill(self, path):
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def check_full_disk(self, mount):
        environment = dict(self.environment_of_class(), MALINA_HOME=os.path.join(mount, "home"))
        subprocess.run([program.PROGRAM, "import", os.path.join(self.shared, "tiny.gguf"), "--name", "tiny"],
                       env=environment, check=True, capture_output=True)
        usual = self.server
        self.server = server.Server(os.path.join(mount, "home"), self.shared, environment=environment)
        self.addCleanup(self.server.close)
        try:
            job = self.job(self.upload(hard_rows(300)), suffix="full", hyperparameters={"n_epochs": 50, "batch_size": 4})
            self.wait_for_steps(job)
            little, rest = os.path.join(mount, "little"), os.path.join(mount, "rest")
            with open(little, "wb") as file:
                file.write(bytes(4 << 20))
            self.fill(rest)
            full = self.send(form(("purpose", None, "fine-tune"), ("file", "a.csv", "x" * (1 << 20))))
            self.assert_error(full, 503, "disk_full")
            self.assertNotIn(mount.encode(), full.body)
            time.sleep(3)  # time for a snapshot that does not fit
            os.remove(little)  # room for a record, not for a job
            self.wait(job, "paused")
            time.sleep(3)
            self.assertEqual(self.get(job)["status"], "paused")
            os.remove(rest)
            self.wait(job, "running")
            told = [event["message"] for event in self.events(job)]
            self.assertIn("There is room on the disk again", told)
            self.assertTrue(any("The disk is full" in message for message in told), told)
            self.assertEqual(self.ask(job, "cancel").json()["status"], "cancelled")
            self.assertEqual(self.server.stop(), 0)
        finally:
            self.server = usual


if __name__ == "__main__":
    server.main()
