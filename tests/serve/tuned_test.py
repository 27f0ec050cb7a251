"""Tuned classifiers over HTTP: asked by their names, without questions, by many at once."""

import json
import os
import threading
import time

import server

FRUITS = ["apple pie", "banana split", "cherry tart"]
QUESTION = "order 3 of banana split to table 9"


def rows(count, prefix="fruit"):
    return "text,label\n" + "".join(f"order {i * 7 % 100} of {FRUITS[i % 3]} to table {i % 13},{prefix}{i % 3}\n"
                                    for i in range(count))


class TunedTest(server.ServerTest):
    options = ("--keep-alive", "2s")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.write("train.csv", rows(120))
        cls.tune("words", "--method", "linear")
        cls.tune("both", "--method", "blend")
        cls.tune("written", "--method", "labels")
        # No word tells the labels apart: no threshold is sure enough, and it abstains always.
        cls.write("hard.csv", "text,label\n" + "".join(
            f"row {i} says {i * 7 % 97},{'odd' if (i * i // 7) % 2 else 'even'}\n" for i in range(120)))
        cls.tune("unsure", "--method", "linear", data="hard.csv")

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.shared, name), "w", encoding="utf-8") as file:
            file.write(text)

    @classmethod
    def tune(cls, suffix, *options, data="train.csv"):
        cls.run_program("tune", "--model", "tiny", "--data", data, "--suffix", suffix, "--rank", "4", "--batch", "8",
                        "--epochs", "1", *options)

    def decide(self, model, text=QUESTION, key=True, **fields):
        return self.server.post("/v1/decisions", {"model": model, "input": text, **fields}, key=key)

    def answers(self, model, text=QUESTION):
        response = self.decide(model, text)
        self.assertEqual(response.status, 200, response.body)
        return response.json()["answers"]

    def make_key(self, *options):
        key = json.loads(self.run_program("key", "create", "test", *options, "--json"))["key"]
        time.sleep(0.03)  # so long a server may take a key for unknown
        return key

    def test_the_answers_are_those_of_the_command(self):
        for model in ("tiny:words", "tiny:both", "tiny:written"):
            expected = json.loads(self.run_program("decide", model, QUESTION, "--json"))["answers"]
            response = self.decide(model).json()
            self.assertEqual(response["answers"], expected)
            self.assertEqual(response["model"], model)
            answer, = expected
            self.assertIs(answer["calibrated"], True)
            self.assertAlmostEqual(sum(each["probability"] for each in answer["probabilities"]), 1, places=6)
            self.assertEqual(response["usage"]["input_tokens"] > 0, model != "tiny:words")

    def test_many_at_once_are_answered_as_alone(self):
        texts = [f"order {i} of {FRUITS[i % 3]} to table {i % 7}" + " please" * (i % 5) for i in range(12)]
        models = ("tiny:words", "tiny:both", "tiny:written")
        expected = {(model, text): self.answers(model, text) for model in models for text in texts}
        alone = self.server.chat(temperature=0, max_tokens=16).json()["choices"][0]["message"]["content"]
        found, chats = {}, []

        def ask(pair):
            found[pair] = self.decide(*pair)

        def chat():
            chats.append(self.server.chat(temperature=0, max_tokens=16).json()["choices"][0]["message"]["content"])

        threads = [threading.Thread(target=ask, args=(pair,)) for pair in expected]
        threads += [threading.Thread(target=chat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({pair: response.json().get("answers") for pair, response in found.items()}, expected)
        self.assertEqual(chats, [alone] * 4)

    def test_what_it_abstains_from_is_asked_of_another(self):
        own = self.answers("tiny:unsure")[0]
        self.assertEqual((own["abstain"], own["escalated_to"]), (True, None))
        asked = {"type": "choice", "instructions": "Which label fits?", "choices": ["even", "odd"]}
        expected = self.decide("tiny", questions=[asked]).json()["answers"][0]
        response = self.decide("tiny:unsure", escalate_to="tiny").json()
        self.assertEqual(response["answers"], [{**expected, "escalated_to": "tiny"}])
        self.assertEqual(response["model"], "tiny:unsure")
        lines = [json.loads(line)["record"] for line in self.run_program("audit", "tail", "--json", "-n", "4").splitlines()]
        self.assertEqual([(each["action"], each["model"]) for each in lines],
                         [("decision", "tiny:unsure")] * 2 + [("decision.escalation", "tiny")] * 2)
        sure = self.decide("tiny:words", escalate_to="tiny").json()["answers"]
        self.assertEqual(sure, self.answers("tiny:words"))
        self.assertIs(sure[0]["abstain"], False)
        # Before anything is computed.
        self.assert_error(self.decide("tiny:unsure", escalate_to="none"), 404)
        self.assert_error(self.decide("tiny:unsure", escalate_to="tiny:words"), 400, param="escalate_to")
        self.assert_error(self.decide("tiny", questions=[{**asked, "abstain_below": 1, "escalate_to": "tiny:words"}]), 400,
                          param="questions[0].escalate_to")
        key = self.make_key("--model", "tiny:unsure")
        self.assert_error(self.decide("tiny:unsure", key=key, escalate_to="tiny"), 404)
        self.assert_error(self.decide("tiny:unsure", escalate_to="upstream/big"), 403, "missing_permission",
                          param="escalate_to")
        self.assert_error(self.decide("tiny", questions=[asked], escalate_to="tiny"), 400, param="escalate_to")
        self.assert_error(self.decide("tiny:unsure", escalate_to=""), 400, param="escalate_to")

    def test_the_command_asks_another_what_it_abstains_from(self):
        question = {"type": "choice", "instructions": "Which label fits?", "choices": ["even", "odd"]}
        expected = self.decide("tiny", questions=[question]).json()["answers"][0]
        answers = json.loads(self.run_program("decide", "tiny:unsure", QUESTION, "--escalate-to", "tiny", "--json"))["answers"]
        self.assertEqual(answers, [{**expected, "escalated_to": "tiny"}])
        sure = self.run_program("decide", "tiny:words", QUESTION, "--escalate-to", "tiny", "--json")
        self.assertEqual(sure, self.run_program("decide", "tiny:words", QUESTION, "--json"))
        self.write("ask.csv", "text\n" + QUESTION + "\n")
        table = self.run_program("decide", "tiny:unsure", "ask.csv", "--escalate-to", "tiny").splitlines()
        self.assertTrue(table[0].endswith(",error,escalated_to"))
        self.assertTrue(table[1].endswith(",tiny"))

    def test_it_is_listed_with_what_it_is(self):
        listed = {model["id"]: model for model in self.server.get("/v1/models").json()["data"]}
        self.assertNotIn("kind", listed["tiny"])
        self.assertEqual((listed["tiny:both"]["kind"], listed["tiny:both"]["base"]), ("classifier", "tiny"))
        self.assertNotIn("base", listed["tiny:words"])  # words alone
        self.assertEqual(self.server.get("/v1/models/tiny:both").json(), listed["tiny:both"])
        tags = [model["name"] for model in self.server.get("/api/tags").json()["models"]]
        self.assertEqual(tags, ["tiny:latest"])

    def test_what_is_wrong_is_named(self):
        question = {"type": "predicate", "instructions": "It is urgent."}
        self.assert_error(self.decide("tiny:both", questions=[question]), 400, param="questions")
        self.assert_error(self.decide("tiny"), 400, param="questions")
        self.assert_error(self.decide("tiny:none"), 404)
        self.assert_error(self.decide("../home/tuned/tiny:both"), 404)
        self.assert_error(self.decide("tiny:both", "  "), 400, param="input")
        response = self.server.chat(model="tiny:both")
        self.assert_error(response, 400, param="model")
        self.assertIn("/v1/decisions", response.json()["error"]["message"])

    def test_a_key_reaches_what_it_may_use(self):
        base, tuned = self.make_key("--model", "tiny"), self.make_key("--model", "tiny:both")
        self.assert_error(self.decide("tiny:both", key=base), 404)
        self.assertEqual(self.decide("tiny:both", key=tuned).status, 200)
        self.assert_error(self.decide("tiny:words", key=tuned), 404)
        self.assertEqual([model["id"] for model in self.server.get("/v1/models", key=tuned).json()["data"]],
                         ["tiny:both"])
        few = self.make_key("--tokens-per-minute", "10")
        self.assert_error(self.decide("tiny:both", key=few), 429)
        self.assert_error(self.server.get("/v1/models/tiny:both", key=base), 404)

    def test_it_is_in_the_audit(self):
        self.answers("tiny:both")
        records = [json.loads(line)["record"] for line in self.run_program("audit", "tail", "--json").splitlines()]
        digest = self.server.get("/v1/models/tiny:both").json()["digest"].split(":")[1]
        mine = [record for record in records if record.get("model") == "tiny:both" and record["action"] == "decision"]
        self.assertTrue(mine, records[-3:])
        self.assertEqual({record["digest"] for record in mine}, {digest})

    def test_it_is_given_up_and_loaded_again(self):
        before = self.answers("tiny:both")
        time.sleep(3.5)
        self.assertEqual(self.answers("tiny:both"), before)

    def test_another_one_under_its_name_answers_at_once(self):
        self.tune("moving", "--method", "linear")
        self.assertEqual(self.answers("tiny:moving")[0]["choice"], "fruit1")
        self.write("other.csv", rows(120, "dish"))
        self.tune("moving", "--method", "linear", "--force", data="other.csv")
        self.assertEqual(self.answers("tiny:moving")[0]["choice"], "dish1")

    def test_one_that_does_not_answer_as_certified_is_refused(self):
        self.tune("broken", "--method", "blend")
        with open(os.path.join(self.shared_home, "tuned", "tiny:broken", "certificate.json"), "a") as file:
            file.write(" ")
        for _ in range(2):
            self.assertGreaterEqual(self.decide("tiny:broken").status, 400)
        self.answers("tiny:both")


if __name__ == "__main__":
    server.main()
