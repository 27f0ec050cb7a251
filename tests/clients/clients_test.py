"""The official clients of OpenAI and Ollama, LangChain and schemathesis against a running server."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serve"))
import langchain_openai
import ollama
import openai
import server

HERE = pathlib.Path(__file__).resolve().parent


def node(script, *arguments):
    if shutil.which("node") is None:
        raise AssertionError("there is no node")
    return ["node", HERE / script, *arguments]


class ClientsTest(server.ServerTest):
    def setUp(self):
        super().setUp()
        self.openai = openai.OpenAI(base_url=self.server.url + "/v1", api_key=self.server.key,
                                    max_retries=0)
        self.ollama = ollama.Client(host=self.server.url,
                                    headers={"Authorization": f"Bearer {self.server.key}"})
        self.hello = [{"role": "user", "content": "hello"}]

    def test_openai_chat(self):
        whole = self.openai.chat.completions.create(model="tiny", messages=self.hello, seed=3,
                                                    max_tokens=20)
        stream = self.openai.chat.completions.create(model="tiny", messages=self.hello, seed=3,
                                                     max_tokens=20, stream=True,
                                                     stream_options={"include_usage": True})
        text, usage = "", None
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)
        scored = self.openai.chat.completions.create(
            model="tiny", messages=self.hello, max_completion_tokens=3, logprobs=True, top_logprobs=2, n=2)
        self.assertEqual(len(scored.choices), 2)
        self.assertEqual(len(scored.choices[0].logprobs.content[0].top_logprobs), 2)

    def test_openai_completions_and_embeddings_and_models(self):
        completion = self.openai.completions.create(model="tiny", prompt=["hello", "hell"], max_tokens=0,
                                                    echo=True, logprobs=1)
        self.assertEqual([choice.text for choice in completion.choices], ["hello", "hell"])
        self.assertIsNone(completion.choices[0].logprobs.token_logprobs[0])
        embedding = self.openai.embeddings.create(model="tiny", input=["hello", "x"])  # base64 by itself
        self.assertEqual(len(embedding.data[1].embedding), 64)
        self.assertEqual([model.id for model in self.openai.models.list()], ["tiny"])
        self.assertEqual(self.openai.models.retrieve("tiny").id, "tiny")

    def test_openai_errors(self):
        with self.assertRaises(openai.BadRequestError) as error:
            self.openai.chat.completions.create(model="tiny", messages=self.hello, temperature=9)
        self.assertEqual(error.exception.param, "temperature")
        self.assertTrue(error.exception.request_id)
        with self.assertRaises(openai.BadRequestError) as error:
            self.openai.completions.create(model="tiny", prompt="x" * 5000)
        self.assertEqual(error.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.NotFoundError) as error:
            self.openai.completions.create(model="none", prompt="x")
        self.assertEqual(error.exception.code, "model_not_found")
        with self.assertRaises(openai.AuthenticationError):
            self.openai.with_options(api_key="wrong").models.list()

    def test_openai_waits_as_a_429_says(self):
        key = self.make_key("--requests-per-minute", "30")
        client = self.openai.with_options(api_key=key, max_retries=3)
        before = self.logged("/v1/completions")
        for _ in range(31):
            client.completions.create(model="tiny", prompt="x", max_tokens=1)
        self.assertGreater(self.logged("/v1/completions"), before + 31)  # it asked again, and was answered
        with self.assertRaises(openai.RateLimitError):
            for _ in range(31):
                client.with_options(max_retries=0).completions.create(model="tiny", prompt="x",
                                                                      max_tokens=1)

    def test_openai_does_not_ask_again_where_that_does_not_help(self):
        """The client repeats a 409 and a 429 by itself, unless x-should-retry says that it must not."""
        client = self.openai.with_options(max_retries=2)
        file = self.server.upload("text,label\na,b\n")
        job = client.fine_tuning.jobs.create(model="tiny", training_file=file)  # too few rows: it fails
        self.wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "failed")
        with self.assertRaises(openai.ConflictError) as error:
            client.fine_tuning.jobs.cancel(job.id)
        self.assertEqual(error.exception.response.headers["x-should-retry"], "false")
        self.assertEqual(self.logged(f"/v1/fine_tuning/jobs/{job.id}/cancel"), 1)

        before = self.logged("/v1/completions")
        few = client.with_options(api_key=self.make_key("--tokens-per-minute", "10"))
        with self.assertRaises(openai.RateLimitError) as error:
            few.completions.create(model="tiny", prompt="x", max_tokens=100)
        self.assertEqual(error.exception.code, "insufficient_quota")
        self.assertEqual(self.logged("/v1/completions"), before + 1)

    def logged(self, path):
        """How many requests of a path the log has, with all that were answered."""
        mark = f"/v1/models/mark-{time.monotonic_ns()}"
        self.server.get(mark)
        self.wait_for(lambda: mark in self.server.errors())
        return sum(f'"{path}"' in line for line in self.server.errors().splitlines())

    def test_openai_tunes_from_upload_to_answer(self):
        fruits = ["apple pie", "banana split", "cherry tart"]
        path = os.path.join(self.shared, "train.csv")
        pathlib.Path(path).write_text("text,label\n" + "".join(
            f"order {i * 7 % 100} of {fruits[i % 3]} to table {i % 13},fruit{i % 3}\n" for i in range(120)))
        with open(path, "rb") as content:
            file = self.openai.files.create(file=content, purpose="fine-tune")
        self.assertEqual((file.filename, file.bytes), ("train.csv", os.path.getsize(path)))
        self.assertEqual(self.openai.files.content(file.id).read(), pathlib.Path(path).read_bytes())
        self.assertIn(file.id, [each.id for each in self.openai.files.list(limit=1)])  # goes through the pages
        job = self.openai.fine_tuning.jobs.create(
            model="tiny", training_file=file.id, suffix="python", seed=3, metadata={"team": "kitchen"},
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 8}}})
        end = time.monotonic() + server.SECONDS
        while (now := self.openai.fine_tuning.jobs.retrieve(job.id)).status not in ("succeeded", "failed"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.assertEqual((now.status, now.fine_tuned_model), ("succeeded", "tiny:python"), now)
        self.assertEqual(now.method.supervised.hyperparameters.n_epochs, 2)
        events = [event.message for event in self.openai.fine_tuning.jobs.list_events(job.id, limit=3)]
        self.assertEqual(events[0], "The job has successfully completed")
        self.assertEqual(events[-1], f"Created fine-tuning job: {job.id}")
        checkpoint, = self.openai.fine_tuning.jobs.checkpoints.list(job.id)
        self.assertEqual(checkpoint.fine_tuned_model_checkpoint, "tiny:python")
        self.assertTrue(self.openai.files.content(now.result_files[0]).text.startswith("step,train_loss"))
        self.assertIn(job.id, [each.id for each in self.openai.fine_tuning.jobs.list(metadata={"team": "kitchen"})])
        for verb in (self.openai.fine_tuning.jobs.cancel, self.openai.fine_tuning.jobs.pause,
                     self.openai.fine_tuning.jobs.resume):
            with self.assertRaises(openai.ConflictError):
                verb(job.id)
        with self.assertRaises(openai.BadRequestError) as error:
            self.openai.fine_tuning.jobs.create(model="tiny", training_file="file-none")
        self.assertEqual(error.exception.param, "training_file")
        with self.assertRaises(openai.NotFoundError):
            self.openai.fine_tuning.jobs.retrieve("ftjob-none")
        self.assertTrue(self.openai.files.delete(file.id).deleted)
        self.assertIn("fruit1", self.run_program("decide", "tiny:python", "order 3 of banana split to table 9"))

    def test_ollama(self):
        options = {"seed": 5, "num_predict": 10}
        whole = self.ollama.chat("tiny", messages=self.hello, options=options)
        pieces = self.ollama.chat("tiny", messages=self.hello, options=options, stream=True)
        self.assertEqual("".join(piece.message.content for piece in pieces), whole.message.content)
        self.assertEqual(self.ollama.generate("tiny", "hello", options=options).response,
                         whole.message.content)
        pieces = list(self.ollama.generate("tiny", "hello", options=options, stream=True))
        self.assertEqual("".join(piece.response for piece in pieces), whole.message.content)
        self.assertEqual([piece.done for piece in pieces], [False] * (len(pieces) - 1) + [True])
        self.assertEqual(pieces[-1].eval_count, whole.eval_count)
        self.assertEqual(len(self.ollama.embed("tiny", ["hello", "x"]).embeddings), 2)
        self.assertEqual(len(self.ollama.embeddings("tiny", "hello").embedding), 64)
        self.assertEqual([model.model for model in self.ollama.list().models], ["tiny:latest"])
        self.assertEqual(self.ollama.show("tiny").details.family, "llama")
        self.assertEqual([model.model for model in self.ollama.ps().models], ["tiny:latest"])
        with self.assertRaises(ollama.ResponseError) as error:
            self.ollama.chat("none", messages=self.hello)
        self.assertEqual(error.exception.status_code, 404)

    def test_langchain(self):
        chat = langchain_openai.ChatOpenAI(model="tiny", base_url=self.server.url + "/v1",
                                           api_key=self.server.key, seed=3, max_tokens=12)
        whole = chat.invoke("hello").content
        self.assertEqual("".join(chunk.content for chunk in chat.stream("hello")), whole)
        embeddings = langchain_openai.OpenAIEmbeddings(
            model="tiny", base_url=self.server.url + "/v1", api_key=self.server.key,
            check_embedding_ctx_length=False)
        self.assertEqual(len(embeddings.embed_documents(["hello", "x"])), 2)
        with self.assertRaises(openai.NotFoundError) as error:
            chat.model_copy(update={"model_name": "none"}).invoke("hello")
        self.assertEqual(error.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as error:
            list(chat.bind(temperature=9).stream("hello"))
        self.assertEqual(error.exception.param, "temperature")
        wrong = langchain_openai.ChatOpenAI(model="tiny", base_url=self.server.url + "/v1", api_key="wrong")
        with self.assertRaises(openai.AuthenticationError):
            wrong.invoke("hello")

    def test_openai_for_node(self):
        result = subprocess.run(
            node("openai_client.mjs"), capture_output=True, text=True, timeout=server.SECONDS,
            env=dict(os.environ, MALINA_URL=self.server.url + "/v1", MALINA_KEY=self.server.key,
                     MALINA_FEW=self.make_key("--requests-per-minute", "1", "--tokens-per-minute", "10")))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        job, = re.findall(r"^all well, job (\S+)$", result.stdout, re.MULTILINE)
        self.assertEqual(self.logged(f"/v1/fine_tuning/jobs/{job}/cancel"), 1)  # its 409 was not repeated

    def test_schemathesis(self):
        document = os.path.join(self.shared, "openapi.json")
        pathlib.Path(document).write_bytes(self.server.get("/openapi.json").body)
        result = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file",
             HERE / "schemathesis.toml", "run", document, "--url", self.server.url, "--header",
             f"Authorization: Bearer {self.server.key}"],
            capture_output=True, text=True, timeout=900, cwd=self.shared)
        self.assertEqual(result.returncode, 0, result.stdout[-20000:])


class MidwayTest(server.LongTest):
    """Clients that go in the midst of an answer, and a server that does: what the server records of the one, and
    what clients make of the other."""

    def setUp(self):
        super().setUp()
        self.openai = openai.OpenAI(base_url=self.server.url + "/v1", api_key=self.server.key, max_retries=0)

    def outcome(self, request):
        """How the server says that a request ended."""
        ended = lambda: [each for each in self.audit(50) if each["request"] == request and each["outcome"] != "intent"]
        return self.wait_for(ended)[0]["outcome"]

    def assert_cancelled(self, leave):
        """`leave(n)` begins a request and goes; the request is the only one."""
        def attempt(answers):
            before = {each["request"] for each in self.audit(200)}
            leave(answers)
            new = lambda: [each for each in self.audit(200) if each["request"] not in before]
            request = self.wait_for(new)[0]["request"]
            return True if self.outcome(request) == "cancelled" else None

        self.assertTrue(self.until_met(attempt))
        self.wait_for(lambda: self.gauges()["running"] == 0)

    def test_openai_leaves_in_the_middle(self):
        def leave(answers):
            stream = self.openai.completions.create(**self.ENDLESS, n=answers)
            next(iter(stream))
            stream.close()

        self.assert_cancelled(leave)

    def test_openai_that_waits_no_longer_leaves(self):
        def leave(answers):
            with self.assertRaises(openai.APITimeoutError):
                self.openai.with_options(timeout=0.2).completions.create(**{**self.ENDLESS, "stream": False}, n=answers)

        self.assert_cancelled(leave)

    def test_ollama_leaves_in_the_middle(self):
        client = ollama.Client(host=self.server.url, headers={"Authorization": f"Bearer {self.server.key}"})

        def leave(answers):  # a text in JSON that a random model does not end
            stream = client.generate("tiny", "hello", stream=True, format="json", options={"num_predict": 16000,
                                                                                            "seed": answers})
            next(stream)
            stream.close()

        self.assert_cancelled(leave)

    def test_langchain_leaves_in_the_middle(self):
        def leave(answers):
            chat = langchain_openai.ChatOpenAI(
                model="tiny", base_url=self.server.url + "/v1", api_key=self.server.key, max_tokens=16000, seed=answers,
                logit_bias={"0": -100, "2": -100})
            stream = chat.stream("hello")
            next(stream)
            stream.close()

        self.assert_cancelled(leave)

    def node(self, what, running):
        process = subprocess.Popen(
            node("openai_midway.mjs", what), stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, MALINA_URL=running.url + "/v1", MALINA_KEY=running.key))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        return process

    def test_openai_for_node_leaves_in_the_middle(self):
        def leave(answers):
            process = self.node("abort", self.server)
            self.assertEqual(process.stdout.readline(), "begun\n")
            self.assertEqual(process.stdout.readline(), "left\n")
            self.assertEqual(process.wait(server.SECONDS), 0)

        self.assert_cancelled(leave)

    def cut(self, read):
        """What `read(running, n, begun)` gives, which calls `begun()` in the midst of a stream that then is cut."""
        self.start_instead().stop()

        def attempt(answers):
            running = self.start("--drain", "0s")
            told = read(running, answers, lambda: running.process.send_signal(signal.SIGTERM))
            self.assertEqual(running.stop(), 0)
            return told

        return self.until_met(attempt)

    def test_openai_raises_where_a_stream_is_cut(self):
        def read(running, answers, begun):
            client = openai.OpenAI(base_url=running.url + "/v1", api_key=running.key, max_retries=0)
            stream = iter(client.completions.create(**self.ENDLESS, n=answers))
            next(stream)
            begun()
            try:
                for _ in stream:
                    pass
            except openai.APIError as error:
                return error
            return None

        self.assertEqual(self.cut(read).code, "draining")

    def test_openai_for_node_raises_where_a_stream_is_cut(self):
        def read(running, answers, begun):
            process = self.node("cut", running)
            self.assertEqual(process.stdout.readline(), "begun\n")
            begun()
            told = process.stdout.readline().strip()
            self.assertEqual(process.wait(server.SECONDS), 0)
            return None if told == "ended" else told

        self.assertEqual(self.cut(read), "raised draining")


if __name__ == "__main__":
    server.main()
