"""malina tune on marked spans, and the tagger it makes: on a tiny model, and on words alone."""

import csv
import json
import os

import json_test
import program
from program import CORRUPT, EXISTS, USAGE
from tune_test import PageReader

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tiny")


def rows(count, start=0):
    """bring NAME to ROOM: both are marked, and the text begins outside of ASCII."""
    for i in range(start, start + count):
        thing, place = f"ring{10 + i * 7 % 90}", f"síň {10 + i * 13 % 90}"
        text = f"přines {thing} do {place} teď"
        yield {"text": text, "intent": "bring", "slots": [
            {"start": text.index(thing), "end": text.index(thing) + len(thing), "type": "thing"},
            {"start": text.index(place), "end": text.index(place) + len(place), "type": "place"}]}


class TuneSpansTest(json_test.DocumentedKeys, program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("train.jsonl", rows(120))
        self.write("test.jsonl", rows(30, 500))

    def write(self, name, data):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in data)

    def arguments(self, *more):
        return ("tune", "--task", "spans", "--data", "train.jsonl", "--test", "test.jsonl", "--suffix", "items", *more)

    def test_words_alone(self):
        report = self.json(*self.arguments("--method", "linear"))
        self.assertEqual((report["chosen"], report["types"]), ("linear", ["place", "thing"]))
        self.assertGreater(report["test"]["chosen"]["f1"], 0.95)
        text = "přines ring55 do síň 12 teď"
        answer = self.json("decide", "items", text)["answers"][0]
        self.assertEqual(answer["type"], "extract")
        self.assertEqual([(span["type"], span["text"]) for span in answer["spans"]],
                         [("thing", "ring55"), ("place", "síň 12")])
        for span in answer["spans"]:
            self.assertEqual(text[span["start"]:span["end"]], span["text"])
            self.assertEqual(text.encode()[span["start_byte"]:span["end_byte"]].decode(), span["text"])
            self.assertTrue(0 < span["probability"] <= 1)
        self.assertTrue(answer["calibrated"])
        self.assertIn("thing: ring55", self.output("decide", "items", text))
        # A table, with a row that has no text.
        with open(self.path("in.csv"), "w", encoding="utf-8") as file:
            file.write("id,text\n" + "".join(f"{i},{row['text']}\n" for i, row in enumerate(rows(50, 900))) + "x,\n")
        self.output("decide", "items", "in.csv", "--output", "out.csv")
        with open(self.path("out.csv"), encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        self.assertEqual(len(table), 51)
        self.assertIn("thing: ring", table[0]["answer"])
        self.assertIn("empty", table[50]["error"])

    def test_an_adapter(self):
        self.json("import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny")
        recipe = ("--model", "tiny", "--rank", "4", "--batch", "8", "--epochs", "4", "--learning-rate", "0.01")
        report = self.json(*self.arguments(*recipe, "--method", "lora", "--curve", "--search"))
        self.assertEqual(len(report["search"]), 6)
        self.assertEqual([curve["method"] for curve in report["learning_curves"]], ["linear", "lora"])
        self.assertEqual([point["rows"] for point in report["learning_curves"][1]["points"]], [6, 12, 24, 48, 96])
        automatic = self.json("tune", "--task", "spans", "--data", "train.jsonl", "--suffix", "auto", *recipe)
        self.check("tune of spans", report, automatic)
        self.assertEqual([rung["method"] for rung in report["rungs"]], ["linear", "lora"])
        self.assertGreater(report["test"]["chosen"]["f1"], 0.7)
        files = os.listdir(os.path.join(self.home, "tuned", "tiny:items"))
        self.assertEqual(sorted(files), ["README.md", "adapter_config.json", "adapter_model.safetensors",
                                         "certificate.json", "linear_tagger.bin", "malina-spans.json", "report.html"])
        answer = self.json("decide", "tiny:items", "přines ring55 do síň 12 teď")["answers"][0]
        self.assertIn("ring55", [span["text"] for span in answer["spans"]])
        self.assertEqual(automatic["chosen"], "linear")  # which is never wrong here
        with open(os.path.join(self.home, "tuned", "tiny:items", "malina-spans.json"), "w") as file:
            file.write("{}")
        self.error(CORRUPT, "decide", "tiny:items", "x")

    def test_the_page_holds_the_report_and_loads_nothing(self):
        def marked(count, start=0):
            for row in rows(count, start):
                for slot in row["slots"]:
                    slot["type"] = f"<b>{slot['type']}</b>"
                yield row
        self.write("train.jsonl", marked(120))
        self.write("test.jsonl", marked(30, 500))
        report = self.json(*self.arguments("--method", "linear", "--report", "copy.html"))
        with open(os.path.join(self.home, "tuned", "items", "report.html"), encoding="utf-8") as file:
            text = file.read()
        with open(self.path("copy.html"), encoding="utf-8") as file:
            self.assertEqual(file.read(), text)
        page = PageReader(text)
        self.assertEqual(page.faults, [])
        self.assertFalse({"script", "link", "img", "iframe"} & set(page.tags))
        self.assertEqual(page.tags.count("figure"), 6)  # 3 of reliability, 2 of coverage, a curve
        for shown in ("<b>place</b>", "Chosen: linear", "sha256:", f"{100 * report['test']['chosen']['f1']:.1f} %"):
            self.assertIn(shown, page.text)
        self.assertNotIn("přines", page.text)  # types and figures, never texts
        self.assertIn("--force", self.error(EXISTS, *self.arguments("--method", "linear", "--report", "copy.html")))
        # For people: what is believed, what is wrong among the answers, what more texts would bring.
        shown = self.output(*self.arguments("--method", "linear", "--force"))
        for text in ("CONFIDENCE", "ANSWERED", "More labels, for linear:", "report.html"):
            self.assertIn(text, shown)
        # Too few rows for a curve.
        self.write("train.jsonl", marked(24))
        few = self.json(*self.arguments("--method", "linear", "--force"))
        self.assertEqual((few["training_rows"], few["learning_curves"]), (14, []))

    def test_a_dry_run_leaves_nothing_behind(self):
        self.json("import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny")
        before = sorted(os.walk(self.home))
        plan = self.json(*self.arguments("--model", "tiny", "--batch", "8", "--epochs", "4", "--dry-run"))
        self.assertEqual([stage["name"] for stage in plan["stages"]],
                         ["linear tagger", "learning curve", "training of the adapter",
                          "where the adapter is chosen: training on all texts", "test rows"])
        self.assertEqual((plan["steps"], plan["epochs"]), (48, 4))  # of 96 rows, 8 a step
        longer = self.json(*self.arguments("--model", "tiny", "--batch", "8", "--epochs", "4", "--dry-run", "--curve"))
        self.assertIn("learning curve of the adapter", [stage["name"] for stage in longer["stages"]])
        self.assertEqual(sum(part["bytes"] for part in plan["memory"]), plan["peak_bytes"])
        shown = self.output(*self.arguments("--method", "linear", "--dry-run"))
        for text in ("2 types of spans", "its fitting", "linear tagger", "Nothing was written"):
            self.assertIn(text, shown)
        self.assertNotIn("steps of", shown)
        self.assertEqual(sorted(os.walk(self.home)), before)

    def test_white_space_at_the_ends_of_spans_is_no_part_of_them(self):
        def wide(count, start=0):
            for row in rows(count, start):
                for slot in row["slots"]:
                    slot["end"] += 1  # the space that follows
                yield row
        self.write("train.jsonl", wide(120))
        self.write("test.jsonl", wide(30, 500))
        report = self.json(*self.arguments("--method", "linear"))
        self.assertGreater(report["test"]["chosen"]["f1"], 0.95)

    def test_wrong_input(self):
        self.assertIn("--twice", self.error(USAGE, *self.arguments("--method", "linear", "--twice")))
        self.json("import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny")
        self.assertIn("linear, lora or auto", self.error(USAGE, *self.arguments("--method", "probe", "--model", "tiny")))
        self.write("train.jsonl", [{"text": "a", "slots": []}] * 40)
        self.assertIn("no span", self.error(USAGE, *self.arguments("--method", "linear")))
        self.write("train.jsonl", [*rows(30), {"text": "a", "slots": [{"start": 3, "end": 9, "type": "x"}]}])
        self.assertIn("line 31", self.error(USAGE, *self.arguments("--method", "linear")))
        self.write("train.jsonl", [{"text": "a", "label": "b"}] * 40)
        self.assertIn("line 1", self.error(USAGE, *self.arguments("--method", "linear")))


if __name__ == "__main__":
    program.main()
