"""malina data: a data set is checked before training, and cut into parts."""

import csv
import json
import os
import random
import re

import gguf_file
import program
from program import CORRUPT, EXISTS, NOT_FOUND, UNSUPPORTED, USAGE

WORDS = ("apple river stone cloud paper window garden bridge letter candle forest mirror button "
         "pocket ladder basket hammer feather kettle saddle").split()


class DataTest(program.ProgramTest):
    def table(self, name, rows, header=("text", "label")):
        with open(self.path(name), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return name

    def rows(self, count, seed=1, labels=("up", "down")):
        source = random.Random(seed)
        return [[" ".join(source.choices(WORDS, k=12)), labels[i % len(labels)]]
                for i in range(count)]

    def test_good_data_is_accepted(self):
        self.table("train.csv", self.rows(40))
        self.table("test.csv", self.rows(10, seed=2))
        text = self.output("data", "check", "train.csv", "--test", "test.csv")
        self.assertTrue(text.endswith("\nnothing was found wrong\n"), text)
        self.assertRegex(text, r"rows +40, ")
        self.assertIn("down 20, up 20", text)
        report = self.json("data", "check", "train.csv", "--test", "test.csv")
        self.assertTrue(report["accepted"])
        self.assertEqual(report["findings"], [])
        self.assertEqual([part["rows"] for part in report["parts"]], [40, 10])

    def test_errors_refuse_and_the_report_is_there(self):
        rows = self.rows(40)
        self.table("train.csv", rows + [["one field"], ["", "up"]])
        result = self.malina("data", "check", "train.csv", code=CORRUPT)
        self.assertIn("the data set is refused for 1 error", result.stderr.decode())
        text = result.stdout.decode()
        self.assertIn("line 42: it has 1 field, and the first line names 2 columns", text)
        self.assertIn("line 43: the text is empty", text)
        self.assertTrue(text.endswith("\nrefused\n"), text)
        result = self.malina("data", "check", "train.csv", "--json", code=CORRUPT)
        report = json.loads(result.stdout)
        self.assertFalse(report["accepted"])
        self.assertEqual([error["line"] for error in report["parts"][0]["errors"]], [42, 43])

    def test_leaks_below_instructions(self):
        rows = self.rows(40)
        self.table("train.csv", rows)
        wrapped = [[f"Say which it is.\nText: {text.upper()}!\nAnswer:", label]
                   for text, label in rows[:3] + self.rows(17, seed=3)]
        self.table("test.csv", wrapped)
        result = self.malina("data", "check", "train.csv", "--test", "test.csv", "--json",
                             code=CORRUPT)
        test = json.loads(result.stdout)["parts"][1]
        self.assertEqual(test["prefixes"], ["Say which it is.\nText: "])
        self.assertEqual(test["suffixes"], ["\nAnswer:"])
        self.assertEqual((test["leaks"]["verbatim"], test["leaks"]["same"]), (0, 3))
        self.assertEqual([leak["other_line"] for leak in test["leaks"]["listed"]], [2, 3, 4])
        text = self.output("data", "check", "train.csv", "--test", "test.csv", "--max-leaks", "20")
        self.assertTrue(text.endswith("accepted, with warnings\n"), text)

    def test_page_is_whole_and_escapes_what_is_foreign(self):
        hostile = '<script>alert("x")</script>\u202e&'
        rows = self.rows(20) + [[f"{text} {hostile}", hostile] for text, _ in self.rows(6, seed=5)]
        self.table("train.csv", rows + [rows[0], ["Write to jan.novak@example.cz today", "up"]])
        self.output("data", "check", "train.csv", "--html", "report.html")
        with open(self.path("report.html"), encoding="utf-8") as file:
            page = file.read()
        self.assertNotIn("<script", page)
        self.assertIn("&lt;script&gt;", page)
        self.assertIn("default-src 'none'", page)
        self.assertNotRegex(page, r"""(?:src|href)\s*=""")
        self.assertNotIn("jan.novak", page)
        self.assertIn("<svg", page)
        for tag in ("table", "svg", "div", "tr", "td", "small"):
            self.assertEqual(len(re.findall(rf"<{tag}[ >]", page)), page.count(f"</{tag}>"), tag)

    def test_personal_data_is_named_by_kind_and_never_shown(self):
        self.table("train.csv", self.rows(20) + [["my card is 4539 1488 0343 6467 thanks", "up"],
                                                 ["rodné číslo 855514/0000 prosím", "down"]])
        for arguments in ([], ["--json"]):
            text = self.output("data", "check", "train.csv", *arguments)
            self.assertNotIn("4539", text)
            self.assertNotIn("855514", text)
        kinds = {found["kind"]: found["lines"] for found in
                 self.json("data", "check", "train.csv")["parts"][0]["personal_data"]}
        self.assertEqual(kinds, {"payment_card": [22], "birth_number": [23]})

    def test_tokens_of_a_model(self):
        file = gguf_file.write_vocabulary(self.path("words.gguf"))
        self.table("train.csv", [["hello", "a"], ["hello hello", "b"], ["hello", "b"]])
        report = self.json("data", "check", "train.csv", "--model", file, "--max-tokens", "2")
        part = report["parts"][0]
        self.assertEqual(report["max_tokens"], 2)
        self.assertEqual(part["truncated_rows"], 1)
        self.assertEqual(part["truncated"][0]["line"], 3)
        self.assertEqual(part["tokens"]["p50"], 2)  # with the end of the text
        self.error(USAGE, "data", "check", "train.csv", "--max-tokens", "5")

    def test_wrong_use(self):
        self.error(NOT_FOUND, "data", "check", "nowhere.csv")
        self.error(USAGE, "data", "check", ".")
        self.table("other.csv", self.rows(3), header=("words", "kind"))
        message = self.error(UNSUPPORTED, "data", "check", "other.csv")
        self.assertIn("no text is recognised among 'words', 'kind'; name them with --text and "
                      "--label", message)
        message = self.error(USAGE, "data", "check", "other.csv", "--text", "word")
        self.assertIn("did you mean 'words'?", message)
        self.output("data", "check", "other.csv", "--text", "words", "--label", "kind")
        self.error(USAGE, "data", "check", "other.csv", "--near", "0.1")
        self.error(USAGE, "data")

    def test_split(self):
        rows = self.rows(200, labels=("a", "b", "c", "d"))
        self.table("all.csv", rows)
        text = self.output("data", "split", "all.csv", "--validation", "10%", "--test", "30",
                           "--seed", "4", "--output-folder", ".")
        self.assertIn("all.train.csv: 150 rows of 4 labels", text)
        parts = {}
        for name in ("train", "validation", "test"):
            with open(self.path(f"all.{name}.csv"), newline="", encoding="utf-8") as file:
                header, *parts[name] = list(csv.reader(file))
            self.assertEqual(header, ["text", "label"])
        self.assertEqual([len(part) for part in parts.values()], [150, 20, 30])
        self.assertEqual(sorted(sum(parts.values(), [])), sorted(rows))
        self.assertEqual(sorted(label for _, label in parts["validation"]), sorted("abcd" * 5))
        self.error(EXISTS, "data", "split", "all.csv", "--test", "30")
        again = self.json("data", "split", "all.csv", "--validation", "10%", "--test", "30",
                          "--seed", "4", "--replace")
        self.assertEqual([part["rows"] for part in again["parts"]], [150, 20, 30])
        with open(self.path("all.test.csv"), newline="", encoding="utf-8") as file:
            self.assertEqual(list(csv.reader(file))[1:], parts["test"])
        self.output("data", "check", "all.train.csv", "--test", "all.test.csv")

    def test_split_refuses(self):
        self.table("all.csv", self.rows(20))
        for size in ("0", "-1", "0%", "100%", "ten", "5 %", "1.5", ""):
            self.error(USAGE, "data", "split", "all.csv", f"--test={size}")
        self.error(USAGE, "data", "split", "all.csv")
        self.error(USAGE, "data", "split", "all.csv", "--test", "20")
        self.table("bad.csv", self.rows(20) + [["short"]])
        self.assertIn("line 22", self.error(CORRUPT, "data", "split", "bad.csv", "--test", "5"))
        self.assertEqual(sorted(os.listdir(self.folder)), ["all.csv", "bad.csv"])


if __name__ == "__main__":
    program.main()
