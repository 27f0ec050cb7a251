"""The official clients of OpenAI and Ollama, LangChain and schemathesis against a running server."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serve"))
import langchain_openai
import ollama
import openai
import server

HERE = pathlib.Path(__file__).resolve().parent


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
        token = self.run_program("key", "create", "slow", "--requests-per-minute", "30")
        key = next(word for word in token.split() if word.startswith("mk_") and "." in word)
        time.sleep(0.05)
        client = self.openai.with_options(api_key=key, max_retries=3)
        for _ in range(31):
            client.completions.create(model="tiny", prompt="x", max_tokens=1)
        with self.assertRaises(openai.RateLimitError):
            for _ in range(31):
                client.with_options(max_retries=0).completions.create(model="tiny", prompt="x",
                                                                      max_tokens=1)

    def test_openai_leaves_in_the_middle(self):
        stream = self.openai.completions.create(model="tiny", prompt="hello", max_tokens=400, stream=True,
                                                logit_bias={"2": -100})
        next(iter(stream))
        stream.close()
        self.assertEqual(self.openai.completions.create(
            model="tiny", prompt="x", max_tokens=1).usage.completion_tokens, 1)

    def test_openai_raises_where_a_stream_is_cut(self):
        running = self.start_instead("--drain", "0s")
        client = openai.OpenAI(base_url=running.url + "/v1", api_key=running.key, max_retries=0)
        raised = []

        def read():
            try:
                for _ in client.completions.create(model="tiny", prompt="hello", max_tokens=480,
                                                   stream=True, n=8, logit_bias={"2": -100}):
                    pass
            except openai.APIError as error:
                raised.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.1)
        running.stop()
        thread.join()
        if raised:  # it may have been faster
            self.assertEqual(raised[0].code, "draining")

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

    def test_openai_for_node(self):
        if shutil.which("node") is None:
            self.fail("there is no node")
        result = subprocess.run(
            ["node", HERE / "openai_client.mjs"], capture_output=True, text=True, timeout=server.SECONDS,
            env=dict(os.environ, MALINA_URL=self.server.url + "/v1", MALINA_KEY=self.server.key))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all well", result.stdout)

    def test_schemathesis(self):
        document = os.path.join(self.shared, "openapi.json")
        pathlib.Path(document).write_bytes(self.server.get("/openapi.json").body)
        result = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file",
             HERE / "schemathesis.toml", "run", document, "--url", self.server.url, "--header",
             f"Authorization: Bearer {self.server.key}"],
            capture_output=True, text=True, timeout=900, cwd=self.shared)
        self.assertEqual(result.returncode, 0, result.stdout[-20000:])


if __name__ == "__main__":
    server.main()
