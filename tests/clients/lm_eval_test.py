"""lm-eval (`local-completions`) against a running server, on the tasks of lm_eval/: each log-likelihood and each
answer is the one that `malina complete` gives, and the scores are what these make. Without a network.

Log-likelihoods need the model's tokenizer on the client's side, since requests go as token ids and the client counts
the context's: `malina convert` writes it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serve"))
import server
import program

TASKS = pathlib.Path(__file__).resolve().parent / "lm_eval"
MODEL = os.environ["MALINA_TEST_MODEL"]
FACTS = [json.loads(line) for line in (TASKS / "facts.jsonl").read_text().splitlines()]


def normal(text):
    """As the task's exact_match reads an answer."""
    return re.sub(r"[^\w\s]", "", text.lower())


class LmEvalTest(server.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_program("import", MODEL, "--name", "smollm2")
        folder = os.path.join(cls.shared, "converted")
        cls.run_program("convert", MODEL, folder)
        os.remove(os.path.join(folder, "model.safetensors"))  # the tokenizer alone is wanted
        cls.samples, cls.results = {}, {}
        for how in ("tokenized_requests=True,num_concurrent=4", "tokenized_requests=False,batch_size=8"):
            cls.evaluate(folder, how)

    @classmethod
    def evaluate(cls, tokenizer, how):
        output = os.path.join(cls.shared, "results" + str(len(cls.results)))
        environment = dict(os.environ, OPENAI_API_KEY=cls.server.key, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1",
                           HF_HOME=os.path.join(cls.shared, "hf"), TOKENIZERS_PARALLELISM="false")
        arguments, batch = (how.rsplit(",batch_size=", 1) + ["1"])[:2]
        result = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "lm_eval"), "--model", "local-completions", "--model_args",
             f"model=smollm2,base_url={cls.server.url}/v1/completions,tokenizer_backend=huggingface,"
             f"tokenizer={tokenizer},max_retries=1,{arguments}", "--batch_size", batch,
             "--tasks", f"{TASKS / 'facts_choice.yaml'},{TASKS / 'facts_answer.yaml'}",
             "--log_samples", "--output_path", output],
            capture_output=True, text=True, timeout=900, env=environment, cwd=TASKS)
        if result.returncode != 0:
            raise AssertionError(result.stdout[-5000:] + result.stderr[-20000:])
        report, = pathlib.Path(output).rglob("results_*.json")
        cls.results[how] = json.loads(report.read_text())["results"]
        for task in ("malina_facts_choice", "malina_facts_answer"):
            file, = pathlib.Path(output).rglob(f"samples_{task}_*.jsonl")
            found = [json.loads(line) for line in file.read_text().splitlines()]
            cls.samples[how, task] = sorted(found, key=lambda sample: sample["doc_id"])

    def complete(self, prompt, *options):
        return json.loads(self.run_program("complete", "smollm2", prompt, "--temperature", "0", "--json",
                                           *options))["choices"][0]

    def likelihood(self, context, continuation):
        """Of the continuation's tokens, and whether each is the likeliest."""
        scored = self.complete(context + continuation, "--echo", "--logprobs", "1", "--max-tokens", "0")["logprobs"]
        first = scored["text_offset"].index(len(context))
        return (sum(scored["token_logprobs"][first:]),
                all(of == max(top.values()) for of, top in
                    zip(scored["token_logprobs"][first:], scored["top_logprobs"][first:])))

    def test_log_likelihoods_are_those_of_the_command(self):
        expected = [[self.likelihood(f"Question: {fact['question']}\nAnswer:", f" {choice}")
                     for choice in fact["choices"]] for fact in FACTS]
        for how in self.results:
            samples = self.samples[how, "malina_facts_choice"]
            self.assertEqual(len(samples), len(FACTS))
            right = 0
            for fact, sample, choices in zip(FACTS, samples, expected):
                for choice, response, (sum_of, greedy) in zip(fact["choices"], sample["filtered_resps"], choices):
                    with self.subTest(how=how, question=fact["question"], choice=choice):
                        self.assertEqual(float(response[0]), sum_of)
                        self.assertEqual(str(response[1]), str(greedy))
                sums = [sum_of for sum_of, _ in choices]
                right += sums.index(max(sums)) == fact["answer"]
            self.assertAlmostEqual(self.results[how]["malina_facts_choice"]["acc,none"], right / len(FACTS))
            self.assertGreater(right / len(FACTS), 0.4)  # a quarter by chance

    def test_answers_are_those_of_the_command(self):
        expected = [self.complete(f"Question: {fact['question']}\nAnswer:", "--max-tokens", "16", "--stop", "\n",
                                  "--stop", "Question:")["text"] for fact in FACTS]
        for how in self.results:
            samples = self.samples[how, "malina_facts_answer"]
            right = 0
            for fact, sample, text in zip(FACTS, samples, expected):
                with self.subTest(how=how, question=fact["question"]):
                    self.assertEqual(sample["resps"], [[text]])
                right += normal(text) == normal(fact["choices"][fact["answer"]])
            self.assertAlmostEqual(self.results[how]["malina_facts_answer"]["exact_match,none"], right / len(FACTS))


if __name__ == "__main__":
    server.main()
