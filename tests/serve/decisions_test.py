"""Typed questions over HTTP: /v1/decisions and /v1/systemone."""

import json
import os
import time

import server
import gguf_file  # which server makes findable

CHOICE = {"type": "choice", "name": "intent", "instructions": "Which intent?",
          "choices": [{"value": "card arrival"}, {"value": "card", "description": "other"}, {"value": True}]}


class DecisionsTest(server.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        large = gguf_file.write_model(os.path.join(cls.shared, "large.gguf"), layers=3, context=512,
                                      values=server.normal(9))
        cls.run_program("import", large, "--name", "large")

    def decide(self, *questions, input="where is my card?", **fields):
        return self.server.post("/v1/decisions", {"model": "tiny", "input": input,
                                                  "questions": list(questions), **fields})

    def make_key(self, *options):
        key = json.loads(self.run_program("key", "create", "test", *options, "--json"))["key"]
        time.sleep(0.03)  # so long a server may take a key for unknown
        return key

    def test_the_answers_are_those_of_the_command(self):
        questions = [CHOICE, {"type": "predicate", "instructions": "It is urgent."},
                     {"type": "score", "name": "mood", "instructions": "How?",
                      "levels": [{"label": "low"}, {"label": "high", "description": "x"}]},
                     {"type": "extract", "instructions": "The object."}]
        path = os.path.join(self.shared, "q.json")
        with open(path, "w") as file:
            json.dump(questions, file)
        answer = self.decide(*questions).json()
        expected = json.loads(self.run_program("decide", "tiny", "--question", path, "where is my card?", "--json"))
        self.assertEqual(answer["answers"], expected["answers"])
        self.assertEqual(answer["model"], "tiny")
        self.assertTrue(answer["id"].startswith("dec-"))
        usage = answer["usage"]
        self.assertEqual(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])
        self.assertGreater(usage["input_tokens"], 0)
        choice = answer["answers"][0]
        self.assertIs(choice["probabilities"][2]["value"], True)
        self.assertAlmostEqual(sum(each["probability"] for each in choice["probabilities"]), 1)
        self.assertIsNone(answer["answers"][1]["name"])

    def test_messages_are_read_as_one_text(self):
        def answers(input):
            return self.decide(CHOICE, input=input).json()["answers"]
        plain = answers("where is my card?")
        self.assertEqual(answers([{"role": "user", "content": "where is my card?"}]), plain)
        self.assertEqual(answers([{"role": "user", "type": "message",
                                   "content": [{"type": "input_text", "text": "where is my card?"}]}]), plain)
        talk = [{"role": "user", "content": "hello"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "yes?"}]},
                {"type": "function_call", "name": "look", "arguments": "{}", "call_id": "1"},
                {"type": "function_call_output", "output": "found", "call_id": "1"}]
        self.assertEqual(answers(talk),
                         answers("user: hello\nassistant: yes?\ncall of look: {}\nresult: found"))

    def test_what_is_wrong_is_named(self):
        self.assert_error(self.decide({**CHOICE, "type": "chioce"}), 400, param="questions[0].type")
        self.assert_error(self.decide({**CHOICE, "choices": [{"value": "a"}]}), 400, param="questions[0].choices")
        self.assert_error(self.decide(CHOICE, {**CHOICE, "name": "b", "choices": [{"value": "a"}, {"value": ""}]}),
                          400, param="questions[1].choices[1].value")
        self.assert_error(self.decide(), 400, param="questions")
        self.assert_error(self.decide(CHOICE, input="  "), 400, param="input")
        self.assert_error(self.decide(CHOICE, input="word " * 2000), 400, param="input")
        self.assert_error(self.decide(CHOICE, input=[{"role": "robot", "content": "x"}]), 400, param="input[0].role")
        self.assert_error(self.decide(CHOICE, input=[{"role": "user", "content": [{"type": "input_image"}]}]), 400,
                          param="input[0].content[0]")
        self.assert_error(self.decide(CHOICE, input=[{"role": "user", "content": [{"type": 5, "text": "x"}]}]), 400,
                          param="input[0].content[0].type")
        self.assert_error(self.decide(CHOICE, input=[{"type": 5, "role": "user", "content": "x"}]), 400,
                          param="input[0].type")
        self.assert_error(self.decide(CHOICE, input=[{"role": "assistant", "content": [{"type": "output_text"}]}]),
                          400, param="input[0].content[0].text")
        self.assert_error(self.decide(CHOICE, input=[{"role": "user"}]), 400, param="input[0].content")
        self.assert_error(self.decide(CHOICE, input=["x"]), 400, param="input[0]")
        self.assert_error(self.decide({"type": "extract", "instructions": "x"}, input="word " * 2000), 400,
                          param="input")
        self.assert_error(self.decide(*[{**CHOICE, "name": str(i)} for i in range(401)]), 400, param="questions")
        self.assert_error(self.decide(CHOICE, model="none"), 404)

    def test_what_is_not_sure_is_asked_of_another(self):
        sure = {**CHOICE, "abstain_below": 0}
        unsure = {**CHOICE, "name": "b", "abstain_below": 1, "escalate_to": "large"}
        answer = self.decide(sure, unsure).json()
        self.assertIsNone(answer["answers"][0]["escalated_to"])
        self.assertEqual(answer["answers"][1]["escalated_to"], "large")
        direct = self.server.post("/v1/decisions", {"model": "large", "input": "where is my card?",
                                                    "questions": [{**CHOICE, "name": "b", "abstain_below": 1}]}).json()
        self.assertIs(direct["answers"][0]["abstain"], True)
        self.assertEqual(answer["answers"][1]["probabilities"], direct["answers"][0]["probabilities"])
        self.assert_error(self.decide({**unsure, "escalate_to": "nobody"}), 404)
        self.assert_error(self.decide({**CHOICE, "escalate_to": "large"}), 400, param="questions[0].escalate_to")

    def test_escalation_and_decision_are_in_the_audit(self):
        self.decide({**CHOICE, "abstain_below": 1, "escalate_to": "large"})
        actions = self.run_program("audit", "tail")
        self.assertIn("decision", actions)
        self.assertIn("decision.escalation", actions)

    def test_a_key_may_only_escalate_to_what_it_may_use(self):
        secret = self.make_key("--model", "tiny")
        response = self.server.post("/v1/decisions", {
            "model": "tiny", "input": "x", "questions": [{**CHOICE, "abstain_below": 1, "escalate_to": "large"}]},
            key=secret)
        self.assert_error(response, 404)

    def test_an_escalation_says_the_quota_once(self):
        secret = self.make_key("--requests-per-minute", "100")
        response = self.server.post("/v1/decisions", {
            "model": "tiny", "input": "x", "questions": [{**CHOICE, "abstain_below": 1, "escalate_to": "large"}]},
            key=secret)
        self.assertEqual(response.status, 200, response.body)
        self.assertEqual(response.headers.get_all("x-ratelimit-remaining-requests"), ["98"])

    def test_system_ones_wire(self):
        body = {"model": "tiny", "state": {"message": "where is my card?", "calls": 5, "more": {"a": [1]}}, "questions": {
            "intent": {"type": "choice", "instructions": "Which?", "criteria": {"a": "first", "b": "second"}},
            "mood": {"type": "score", "instructions": "How?", "criteria": ["low", "mid", "high"]},
            "urgent": {"type": "noul", "instructions": "Urgent?", "criteria": {"true": "today"}}},
            "abstain": {"intent": 1, "noul": 0}}
        answer = self.server.post("/v1/systemone", body).json()
        answers = answer["answers"]
        self.assertEqual(list(answers), ["intent", "mood", "urgent"])
        self.assertIn(answers["intent"]["choice"], ["a", "b"])
        self.assertAlmostEqual(sum(answers["intent"]["probabilities"].values()), 1)
        self.assertIs(answers["intent"]["abstained"], True)
        self.assertEqual(answers["mood"]["legend"], {"0": "low", "1": "mid", "2": "high"})
        self.assertAlmostEqual(answers["mood"]["score"], sum(
            int(level) * p for level, p in answers["mood"]["probabilities"].items()))
        self.assertAlmostEqual(answers["urgent"]["noul"], answers["urgent"]["probabilities"]["true"])
        self.assertIs(answers["urgent"]["abstained"], False)
        self.assertGreater(answer["usage"]["input_tokens"], 0)
        self.assert_error(self.server.post("/v1/systemone", {**body, "state": " "}), 400, param="state")
        self.assert_error(self.server.post("/v1/systemone", {**body, "stream": True}), 400, param="stream")
        self.assert_error(self.server.post("/v1/systemone", {**body, "abstain": 2}), 400, param="abstain")
        self.assert_error(self.server.post("/v1/systemone", {**body, "abstain": 0, "questions": {"a": {"type": "choice",
                          "instructions": "x"}}}), 400, param="questions.a.criteria")

    def test_system_ones_questions_are_passed_on(self):
        noul = {"type": "noul", "instructions": "Urgent?"}
        body = {"model": "tiny", "state": "where is my card?", "questions": {"a": noul, "b": noul}, "abstain": 1}
        own = self.server.post("/v1/systemone", body).json()["answers"]
        answers = self.server.post("/v1/systemone", {**body, "escalate_to": {"a": "tiny"}}).json()["answers"]
        self.assertEqual(answers, {"a": {**own["a"], "escalated_to": "tiny"}, "b": own["b"]})
        records = [json.loads(line)["record"] for line in self.run_program("audit", "tail", "--json", "-n", "4").splitlines()]
        self.assertEqual([(each["action"], each["outcome"]) for each in records],
                         [("decision", "intent"), ("decision", "done"), ("decision.escalation", "intent"),
                          ("decision.escalation", "done")])
        for wrong, status in (("none", 404), ("", 400), ({"c": "tiny"}, 400), (1, 400), ({"noul": 1}, 400)):
            self.assert_error(self.server.post("/v1/systemone", {**body, "escalate_to": wrong}), status)
        self.assert_error(self.server.post("/v1/systemone", {**body, "escalate_to": "upstream/none"}), 403,
                          param="escalate_to")
        self.assert_error(self.server.post("/v1/systemone", {**body, "abstain": {"a": 1}, "escalate_to": "tiny"}), 400,
                          param="escalate_to")


if __name__ == "__main__":
    server.main()
