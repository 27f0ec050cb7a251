"""malina decide as a user meets it, on a tiny model with random weights."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import time

import gguf_file
import program
from program import CORRUPT, EXISTS, NOT_FOUND, USAGE

CHOICE = {"type": "choice", "instructions": "Which intent?",
          "choices": [{"value": "card arrival", "description": "when it comes"}, "card", "refund"]}
ADDED = ["answer", "probability", "confidence", "label_mass", "abstain", "error"]


def normal(name, shape):
    generator = random.Random(name)
    count = 1
    for dimension in shape:
        count *= dimension
    return [1.0] * count if name.endswith("norm.weight") else [generator.gauss(0, 0.3) for _ in range(count)]


class DecideTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = gguf_file.write_model(self.path("tiny.gguf"), layers=2, context=1024, values=normal)
        self.question(CHOICE)

    def question(self, question, name="q.json"):
        with open(self.path(name), "w") as file:
            json.dump(question, file)

    def write(self, name, text):
        with open(self.path(name), "w", newline="", encoding="utf-8") as file:
            file.write(text)

    def decide(self, *arguments, **options):
        return self.output("decide", self.model, "--question", "q.json", *arguments, **options)

    def refusal(self, code, *arguments, **options):
        return self.error(code, "decide", self.model, "--question", "q.json", *arguments, **options)

    def rows(self, text):
        return list(csv.DictReader(io.StringIO(text)))

    def test_one_text_for_people_and_for_programs(self):
        text = self.decide("where is my card?")
        self.assertIn("probability", text)
        self.assertIn("label mass", text)
        answer = json.loads(self.decide("where is my card?", "--json"))["answers"][0]
        self.assertEqual(answer["type"], "choice")
        self.assertEqual([each["value"] for each in answer["probabilities"]],
                         ["card arrival", "card", "refund"])
        self.assertAlmostEqual(sum(each["probability"] for each in answer["probabilities"]), 1)
        self.assertEqual(answer["choice"], max(answer["probabilities"], key=lambda each: each["probability"])["value"])
        self.assertLessEqual(answer["label_mass"], 1)
        self.assertIs(answer["calibrated"], False)
        self.assertIs(answer["abstain"], False)
        self.assertIsNone(answer["escalated_to"])
        self.assertEqual(json.loads(self.decide("--json", input=b"where is my card?"))["answers"][0], answer)

    def test_a_label_has_the_probability_that_scoring_it_gives(self):
        """The same numbers as by complete --echo --logprobs, over the same tokens."""
        self.question({"type": "choice", "instructions": "Which?", "choices": ["aa", "bb"]})
        answer = json.loads(self.decide("hello", "--json"))["answers"][0]
        prompt = ("Which?\n\nOptions:\n- aa\n- bb\n\nAnswer with exactly one of the options, and nothing else."
                  "\n\nText:\nhello\n\nAnswer:")
        total = []
        for label in ("aa", "bb"):
            scored = self.json("complete", self.model, prompt + " " + label, "--echo", "--logprobs", "0",
                               "--max-tokens", "0")["choices"][0]["logprobs"]
            total.append(sum(p for p, at in zip(scored["token_logprobs"], scored["text_offset"])
                             if at >= len(prompt)))
        self.assertAlmostEqual(answer["label_mass"], sum(2.718281828459045 ** each for each in total), 6)

    def test_every_type(self):
        self.question([{"type": "predicate", "name": "urgent", "instructions": "It is urgent."},
                       {"type": "score", "name": "mood", "instructions": "How glad?",
                        "levels": [{"label": "sad"}, {"label": "glad"}]},
                       {"type": "choice", "name": "topics", "instructions": "Which?", "multiple": True,
                        "choices": ["a", "b"], "prior": "content_free"},
                       {"type": "extract", "name": "city", "instructions": "The city."}])
        text = "From Plzeň to Brno"
        answers = json.loads(self.decide(text, "--json"))["answers"]
        self.assertEqual([each["name"] for each in answers], ["urgent", "mood", "topics", "city"])
        self.assertEqual(answers[0]["answer"], answers[0]["probability"] > 0.5)
        self.assertAlmostEqual(answers[1]["score"], answers[1]["probabilities"][1]["probability"])
        self.assertEqual(answers[2]["choices"], [each["value"] for each in answers[2]["probabilities"]
                                                 if each["probability"] > 0.5])
        for span in answers[3]["spans"]:
            self.assertEqual(text[span["start"]:span["end"]], span["text"])
            self.assertEqual(text.encode()[span["start_byte"]:span["end_byte"]].decode(), span["text"])
        self.assertIn("urgent", self.decide(text))

    def test_rows_of_a_csv_keep_their_columns_and_a_bad_row_is_an_error(self):
        self.write("in.csv", 'id,text\r\n1,"where, is\r\nmy ""card"""\r\n2,\r\n3,a,b\r\n4,x"y\r\n5,money\r\n')
        rows = self.rows(self.decide("in.csv"))
        self.assertEqual(list(rows[0]), ["id", "text", *ADDED])
        self.assertEqual([row["id"] for row in rows], ["1", "2", "3", "4", "5"])
        self.assertEqual(rows[0]["text"], 'where, is\r\nmy "card"')
        self.assertEqual([row["error"] for row in rows],
                         ["", "line 4: the text is empty", "line 5: 3 fields where the header has 2",
                          "line 6: a quote inside of the unquoted field 2", ""])
        self.assertEqual([bool(row["answer"]) for row in rows], [True, False, False, False, True])
        alone = json.loads(self.decide("money", "--json"))["answers"][0]
        self.assertEqual(rows[4]["answer"], alone["choice"])
        self.assertEqual(float(rows[4]["label_mass"]), alone["label_mass"])

    def test_json_lines_and_the_column(self):
        self.write("in.jsonl", '{"body": "card", "id": 7}\n\nnot json\n{"id": 8}\n{"body": 3}\n')
        lines = [json.loads(line) for line in self.decide("in.jsonl", "--column", "body").splitlines()]
        self.assertEqual(lines[0]["id"], 7)
        self.assertIn(lines[0]["answer"], ["card arrival", "card", "refund"])
        self.assertEqual(lines[0]["decision"]["choice"], lines[0]["answer"])
        self.assertIsNone(lines[0]["error"])
        self.assertEqual(lines[1]["line"], "not json")
        self.assertIn("line 3: it is not valid JSON", lines[1]["error"])
        self.assertEqual(lines[2]["error"], "line 4: it has no member 'body'")
        self.assertEqual(lines[3]["error"], "line 5: 'body' is no text")
        self.assertIn("'text' nor 'input'", self.decide("in.jsonl"))

    def test_json_lines_lose_nothing_that_they_had(self):
        self.write("in.jsonl", '{"text": "card", "answer": "mine", "decision_answer": 1, "error": null}\n')
        line, = [json.loads(line) for line in self.decide("in.jsonl").splitlines()]
        self.assertEqual((line["answer"], line["decision_answer"], line["error"]), ("mine", 1, None))
        self.assertIn("decision_decision_answer", line)
        self.assertEqual(line["decision_error"], None)

    def test_columns_of_several_questions(self):
        self.question([{"type": "predicate", "name": "urgent", "instructions": "x"},
                       {"type": "predicate", "instructions": "y"}])
        self.write("in.tsv", "text\tq2_answer\nhello\tkept\n")
        header = self.decide("in.tsv").splitlines()[0].split("\t")
        self.assertEqual(header, ["text", "q2_answer", *("urgent_" + each for each in ADDED),
                                  *("decision_q2_" + each for each in ADDED)])

    def many(self, rows=300):
        generator = random.Random(3)
        lines = ["id,text"]
        for i in range(rows):
            lines.append(f"{i},\"{' '.join(generator.choice(['card', 'money', 'lost', 'help']) for _ in range(5))} {i}\"")
        lines[40] = '39,"'  # swallows the next line
        lines[41] = '","'
        lines[90] = "89"
        self.write("in.csv", "\n".join(lines) + "\n")

    def test_killed_and_resumed_it_gives_the_same_bytes(self):
        self.many()
        whole = self.decide("in.csv")
        for kill_after in (0.05, 0.4, 0.8, 1.2):
            process = subprocess.Popen(
                [program.PROGRAM, "decide", self.model, "--question", "q.json", "in.csv", "--output", "out.csv",
                 "--threads", "1"], cwd=self.folder, env=self.environment(), stdout=subprocess.DEVNULL)
            end = time.monotonic() + 60
            while process.poll() is None and not os.path.exists(self.path("out.csv.part")) and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if os.path.exists(self.path("out.csv")):
                break
        else:
            # A row that was cut, as by a full disk.
            with open(self.path("out.csv.part"), "ab") as part:
                part.write(b'7,"cut')
        if not os.path.exists(self.path("out.csv")):
            said = self.decide("in.csv", "--output", "out.csv")
            self.assertIn("rows", said)
        with open(self.path("out.csv"), newline="") as file:
            self.assertEqual(file.read(), whole)
        self.assertFalse(os.path.exists(self.path("out.csv.part")))
        self.assertFalse(os.path.exists(self.path("out.csv.part.json")))

    def leave_a_part(self, rows=2):
        """As a run that was killed after some rows leaves it."""
        whole = self.decide("in.csv")
        self.decide("in.csv", "--output", "done.csv")
        with open(self.path("stop.csv"), "w") as file:
            file.write("")
        process = subprocess.Popen([program.PROGRAM, "decide", self.model, "--question", "q.json", "in.csv",
                                    "--output", "out.csv"], cwd=self.folder, env=self.environment(),
                                   stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not os.path.exists(self.path("out.csv.part.json")) and time.monotonic() < end:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if os.path.exists(self.path("out.csv")):
            self.skipTest("it was done before it could be killed")
        # Not more than these rows, whatever it had written.
        lines = whole.splitlines(keepends=True)
        with open(self.path("out.csv.part"), "w", newline="") as part:
            part.write("".join(lines[:rows + 1]))
        return whole

    def test_a_part_is_continued_and_not_computed_again(self):
        self.write("in.csv", "text\n" + "".join(f"row {i}\n" for i in range(400)))
        whole = self.leave_a_part(rows=390)
        said = self.decide("in.csv", "--output", "out.csv")
        self.assertIn("400 rows, 390 of them from before", said)
        with open(self.path("out.csv"), newline="") as file:
            self.assertEqual(file.read(), whole)

    def test_a_part_of_another_run_is_not_continued(self):
        self.write("in.csv", "text\n" + "".join(f"row {i}\n" for i in range(400)))
        self.leave_a_part()
        self.question({**CHOICE, "instructions": "Another?"})
        self.assertIn("of a run whose questions was another",
                      self.refusal(EXISTS, "in.csv", "--output", "out.csv"))
        self.question(CHOICE)
        self.assertIn("whose settings was another", self.refusal(EXISTS, "in.csv", "--output", "out.csv", "--exact"))
        self.write("in.csv", "text\nother\n")
        self.assertIn("whose input was another", self.refusal(EXISTS, "in.csv", "--output", "out.csv"))
        self.assertIn("1 rows", self.decide("in.csv", "--output", "out.csv", "--start-again"))

    def test_an_output_is_not_replaced_unless_asked(self):
        self.write("in.csv", "text\nhello\n")
        self.write("out.csv", "mine")
        self.assertIn("out.csv exists already; --overwrite", self.refusal(EXISTS, "in.csv", "--output", "out.csv"))
        self.decide("in.csv", "--output", "out.csv", "--overwrite")
        with open(self.path("out.csv")) as file:
            self.assertIn("answer", file.read())

    def other_model(self):
        return gguf_file.write_model(self.path("other.gguf"), layers=2, context=1024,
                                     values=lambda name, shape: normal("other " + name, shape))

    def test_what_it_abstains_from_is_asked_of_another_model(self):
        other = self.other_model()
        passed_on = {**CHOICE, "abstain_below": 1, "escalate_to": other}
        self.question(passed_on)
        expected = json.loads(self.output("decide", other, "--question", "q.json", "where is my card?", "--json",
                                          "--context", "512"))["answers"][0]
        answer = json.loads(self.decide("where is my card?", "--json"))["answers"][0]
        self.assertEqual(answer, {**expected, "abstain": True, "escalated_to": other})
        self.assertIn(", by " + other, self.decide("hello"))
        # A row between the two probabilities of two texts: one is passed on, the other is not.
        self.question(CHOICE)
        texts = [f"row {i}" for i in range(70)]
        alone = [json.loads(self.decide(text, "--json"))["answers"][0] for text in texts[:2]]
        best = [max(each["probability"] for each in answer["probabilities"]) for answer in alone]
        self.question({**passed_on, "abstain_below": sum(best) / 2}, "q.json")
        self.write("in.csv", "text,n\n" + "".join(f"{text},{i}\n" for i, text in enumerate(texts)) + ",empty\n")
        rows = self.rows(self.decide("in.csv"))
        self.assertEqual(list(rows[0]), ["text", "n", *ADDED, "escalated_to"])
        self.assertEqual([row["escalated_to"] for row in rows[:2]], [other if each == min(best) else "" for each in best])
        self.assertEqual(rows[-1]["error"], "line 72: the text is empty")
        self.assertEqual(rows[-1]["escalated_to"], "")
        said = self.decide("in.csv", "--output", "out.csv")
        self.assertIn(f"{sum(bool(row['escalated_to']) for row in rows)} escalated", said)
        with open(self.path("out.csv"), newline="") as file:
            self.assertEqual(self.rows(file.read()), rows)
        self.question([{**passed_on, "name": "a"}, {**CHOICE, "name": "b"}])
        header = self.decide("in.csv").splitlines()[0].split(",")
        self.assertEqual(header[2:], [*("a_" + each for each in ADDED), "a_escalated_to", *("b_" + each for each in ADDED)])

    def test_a_part_goes_on_with_the_same_second_model_alone(self):
        other = self.other_model()
        self.question({**CHOICE, "abstain_below": 1, "escalate_to": other})
        self.write("in.csv", "text\n" + "".join(f"row {i}\n" for i in range(400)))
        whole = self.leave_a_part(rows=390)
        self.assertIn("390 of them from before", self.decide("in.csv", "--output", "out.csv"))
        with open(self.path("out.csv"), newline="") as file:
            self.assertEqual(file.read(), whole)
        self.assertIn(other, whole)
        for name in ("out.csv", "done.csv"):
            os.remove(self.path(name))
        self.leave_a_part()
        gguf_file.write_model(other, layers=2, context=1024, values=lambda name, shape: normal("third " + name, shape))
        self.assertIn("whose model was another", self.refusal(EXISTS, "in.csv", "--output", "out.csv"))

    def test_who_cannot_be_asked_is_named_before_anything_is_computed(self):
        for target, code, said in (("none", NOT_FOUND, "none"), ("upstream/big", USAGE, "'upstream/big' is an upstream")):
            self.question({**CHOICE, "abstain_below": 0, "escalate_to": target})
            self.assertIn(said, self.refusal(code, "hello"))
        self.write("broken.gguf", "GGUF")
        self.question({**CHOICE, "abstain_below": 0, "escalate_to": self.path("broken.gguf")})
        self.write("in.csv", "text\nhello\n")
        self.assertIn("broken.gguf", self.refusal(CORRUPT, "in.csv"))
        self.question(CHOICE)
        self.refusal(USAGE, "hello", "--escalate-to", "")
        self.assertIn("a question has its own 'escalate_to'", self.refusal(USAGE, "hello", "--escalate-to", self.model))

    def test_a_text_too_long_for_the_second_model_is_its_rows_error(self):
        small = gguf_file.write_model(self.path("small.gguf"), layers=2, context=400, values=normal)
        self.question({**CHOICE, "abstain_below": 1, "escalate_to": small})
        self.write("in.csv", "text\nhello\n" + "word " * 80 + "\nhello again\n")
        rows = self.rows(self.decide("in.csv"))
        self.assertEqual([bool(row["error"]) for row in rows], [False, True, False])
        self.assertIn(f"line 3: {small}: ", rows[1]["error"])
        self.assertIn(small, self.refusal(USAGE, "word " * 80))

    def test_what_is_wrong_is_named(self):
        self.write("in.csv", "body,other\nx,y\n")
        self.assertIn("which column has the texts? There are 'body', 'other'", self.refusal(USAGE, "in.csv"))
        self.assertIn("there is no column 'bodi'; did you mean 'body'?",
                      self.refusal(USAGE, "in.csv", "--column", "bodi"))
        self.write("empty.csv", "")
        self.assertIn("empty.csv: it is empty", self.refusal(USAGE, "empty.csv"))
        self.assertIn("none.csv", self.refusal(NOT_FOUND, "none.csv"))
        self.assertIn("--output is for files", self.refusal(USAGE, "hello", "--output", "x"))
        self.assertIn("--json is for one text", self.refusal(USAGE, "in.csv", "--json"))
        self.write("mail.txt", "hello")
        self.assertIn("'- < mail.txt'", self.refusal(USAGE, "mail.txt"))
        self.assertIn("the text is empty", self.refusal(USAGE, " "))
        self.assertIn("not valid UTF-8: its byte 3", self.refusal(USAGE, input=b"ab\xff"))
        self.assertIn("but the context holds", self.refusal(USAGE, "word " * 2000))
        self.write("bad.json", "{")
        self.assertIn("bad.json: it is not valid JSON, at byte 2",
                      self.error(CORRUPT, "decide", self.model, "--question", "bad.json", "x"))
        self.question({"type": "choice", "instructions": "x", "choices": ["a"]}, "bad.json")
        self.assertIn("bad.json: choices: needs at least 2",
                      self.error(USAGE, "decide", self.model, "--question", "bad.json", "x"))


if __name__ == "__main__":
    program.main()
