"""malina tune as a user meets it: on a tiny model with random weights, and on words alone."""

import hashlib
import html.parser
import json
import os
import signal
import subprocess
import time

import json_test
import program
from program import CORRUPT, EXISTS, NOT_FOUND, PROGRAM, USAGE

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/tiny")
FRUITS = ["apple pie", "banana split", "cherry tart"]
ADAPTER = "adapter_model.safetensors"


def rows(count, start=0):
    return "text,label\n" + "".join(
        f"order {i * 7 % 100} of {FRUITS[i % 3]} to table {i % 13},fruit{i % 3}\n"
        for i in range(start, start + count))


def noisy(text):
    """Every eighth label may be wrong, so that there is something to confuse."""
    lines = text.splitlines(keepends=True)
    for i in range(4, len(lines), 8):
        lines[i] = lines[i].replace("fruit0", "fruit9").replace("fruit1", "fruit0").replace("fruit9", "fruit1")
    return "".join(lines)


class PageReader(html.parser.HTMLParser):
    """Holds a page to what docs/reference/tune.md promises of it."""

    EMPTY = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.faults = [], [], "", []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action") or name.startswith("on") or "url(" in (value or ""):
                self.faults.append(f"{tag} {name}={value}")
        if tag == "svg" and not {"aria-label", "aria-hidden"} & {name for name, _ in attributes}:
            self.faults.append("an svg without a text")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.text += data


class TuneTest(json_test.DocumentedKeys, program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.write("train.csv", rows(120))
        self.write("test.csv", rows(60, 500))
        self.json("import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny")

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def arguments(self, suffix, *more):
        recipe = () if "linear" in more or "probe" in more else ("--rank", "4", "--batch", "8", "--epochs", "3")
        return ("tune", "--model", "tiny", "--data", "train.csv", "--suffix", suffix, *recipe, *more)

    def place(self, suffix, *names):
        return os.path.join(self.home, "tuned", "tiny:" + suffix, *names)

    def digest(self, path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def test_the_ladder_and_what_is_written(self):
        report = self.json(*self.arguments("fruit", "--test", "test.csv"))
        self.assertEqual([rung["method"] for rung in report["rungs"]], ["linear", "probe", "linear+probe", "lora", "linear+probe+lora"])
        self.assertEqual(report["chosen"], "linear")  # the words decide
        self.assertEqual(report["test"]["chosen"]["accuracy"], 1.0)
        self.assertEqual(report["directory"], self.place("fruit"))
        self.assertEqual(sorted(os.listdir(report["directory"])),
                         ["README.md", "certificate.json", "linear.bin", "malina.json", "report.html"])
        other = self.json(*self.arguments("words", "--method", "linear", "--test", "test.csv", "--out-of-scope", "fruit1"))
        self.assertEqual(other["test"]["scope"]["out_of_scope_recall"], 1.0)
        decided = self.json("decide", "tiny:words", "order 5 of banana split to table 3")
        self.assertTrue(decided["answers"][0]["abstain"], decided)
        self.write("noisy.csv", noisy(rows(300)))
        confused = self.json("tune", "--data", "noisy.csv", "--test", "noisy.csv", "--suffix", "noisy", "--method", "linear")
        searched = self.json(*self.arguments("searched", "--method", "lora", "--search"))
        written = self.json(*self.arguments("written", "--method", "labels"))
        self.check("tune", report, other, confused, searched, written)

    def test_auto_tries_no_method_dearer_than_it_may(self):
        probe = self.json(*self.arguments("cheap", "--up-to", "probe"))
        self.assertEqual([rung["method"] for rung in probe["rungs"]], ["linear", "probe", "linear+probe"])
        self.assertTrue(probe["reason"].endswith("; none dearer than probe was to be tried"), probe["reason"])
        lora = self.json(*self.arguments("dearer", "--up-to", "lora"))
        self.assertEqual(lora["rungs"][-1]["method"], "linear+probe+lora")
        self.assertEqual(probe["labels_left_out"], "none dearer than probe was to be tried")
        plan = self.json(*self.arguments("planned", "--up-to", "probe", "--test", "test.csv", "--dry-run"))
        self.assertEqual([stage["name"] for stage in plan["stages"]],
                         ["linear baseline", "learning curve and suspected labels", "features of the probe", "probe", "test rows"])

    def test_the_page_holds_the_report_and_loads_nothing(self):
        for name, text in (("train.csv", rows(120)), ("test.csv", noisy(rows(30, 500)))):
            self.write(name, text.replace("fruit1", '"<b>&""fruit""</b>"'))
        report = self.json(*self.arguments("page", "--method", "lora", "--test", "test.csv", "--report", "copy.html"))
        with open(self.place("page", "report.html"), encoding="utf-8") as file:
            text = file.read()
        with open(self.path("copy.html"), encoding="utf-8") as file:
            self.assertEqual(file.read(), text)
        page = PageReader(text)
        self.assertEqual(page.faults, [])
        self.assertFalse({"script", "link", "img", "iframe"} & set(page.tags))
        self.assertIn('<b>&"fruit"</b>', page.text)
        self.assertEqual(page.tags.count("figure"), 8)  # 3 of reliability, 2 of coverage, 2 of training, a curve
        for text in ("tiny:page", "Chosen: lora", "sha256:", f"{report['rungs'][1]['validation']['macro_f1']:.1%}".replace("%", " %")):
            self.assertIn(text, page.text)
        self.assertNotIn("banana", page.text)  # labels and figures, never texts
        shown = self.output(*self.arguments("shown", "--method", "lora", "--test", "test.csv"))
        for text in ("CONFIDENCE", "HARDEST LABELS", "ANSWERED", "report.html"):
            self.assertIn(text, shown)

    def test_a_classifiers_name_is_nobody_elses(self):
        self.output(*self.arguments("fruit", "--method", "linear"))
        self.assertIn("tuned classifier", self.error(EXISTS, "alias", "set", "tiny:fruit=tiny"))
        self.assertIn("tuned classifier", self.error(
            EXISTS, "import", os.path.join(GOLDEN, "q4_1.gguf"), "--name", "tiny:fruit"))

    def test_a_page_that_could_not_be_written_is_refused_before_the_work(self):
        ask = self.arguments("page", "--method", "linear", "--rank", "4", "--fast", "--up-to", "lora", "--report")
        before = self.digest(self.path("train.csv"))
        self.assertIn("train.csv is a file of data", self.error(USAGE, *ask, "train.csv", "--force"))
        self.assertEqual(self.digest(self.path("train.csv")), before)
        self.assertIn("no directory none", self.error(NOT_FOUND, *ask, "none/page.html"))
        self.write("page.html", "mine")
        self.assertIn("page.html exists", self.error(EXISTS, *ask, "page.html"))
        self.assertFalse(os.path.exists(self.place("page")))
        done = subprocess.run([PROGRAM, *ask, "page.html", "--force"], capture_output=True, cwd=self.folder,
                              env=self.environment(), timeout=300, check=True)
        self.assertEqual(done.stderr.decode(), "Without effect on --method linear: --rank, --fast, --up-to\n")
        with open(self.path("page.html"), encoding="utf-8") as file:
            self.assertIn("Chosen: linear", file.read())

    def test_the_report_counts_what_it_says(self):
        self.write("test.csv", noisy(rows(60, 500)))
        report = self.json(*self.arguments("fruit", "--method", "lora", "--test", "test.csv"))
        for part, count in ((report, 24), (report["test"], 60)):
            answers = part["answers"]
            self.assertEqual(sum(each["rows"] for each in answers["classes"]), count)
            self.assertEqual(sum(each["answers"] for each in answers["classes"]), count)
            wrong = sum(each["rows"] for each in answers["confusions"])
            self.assertAlmostEqual(answers["risk_coverage"][-1]["risk"], wrong / count)
            self.assertEqual(answers["risk_coverage"][-1]["coverage"], 1)
        self.assertGreater(wrong, 0)
        self.assertAlmostEqual(report["test"]["chosen"]["accuracy"], 1 - wrong / 60)
        self.assertEqual([point["step"] for point in report["losses"]], list(range(1, 37)))  # 96 rows, 12 steps, 3 epochs
        self.assertAlmostEqual(sum(point["loss"] for point in report["losses"][:12]) / 12, report["epochs"][0]["train_loss"], places=5)

    def test_what_was_tuned_decides(self):
        self.output(*self.arguments("fruit"))
        answer, = self.json("decide", "tiny:fruit", "order 3 of banana split to table 9")["answers"]
        self.assertEqual((answer["choice"], answer["calibrated"]), ("fruit1", True))
        self.assertAlmostEqual(sum(each["probability"] for each in answer["probabilities"]), 1, places=6)
        self.write("new.csv", "id,text\n" + "".join(f"{i},order {i} of {FRUITS[i % 3]} to table 1\n" for i in range(100)) + "x,\n")
        self.output("decide", "tiny:fruit", "new.csv", "--output", "out.csv")
        with open(self.path("out.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(len(lines), 102)
        for i, line in enumerate(lines[1:101]):
            self.assertIn(f",fruit{i % 3},", line)
        self.assertIn("line 102: the text is empty", lines[101])
        self.assertIn("own question", self.error(USAGE, "decide", "tiny:fruit", "x", "--question", "q.json"))
        self.assertIn("no tuned classifier", self.error(USAGE, "decide", "tiny", "x"))
        self.json("remove", "tiny")
        self.output("decide", "tiny:fruit", "order 3 of apple pie to table 9")  # words alone need no base

    def certify(self, suffix, change):
        """Changes the certificate, and the manifest so that it names the changed one."""
        place, manifest = self.place(suffix, "certificate.json"), self.place(suffix, "malina.json")
        with open(place, encoding="utf-8") as file:
            certificate = json.load(file)
        change(certificate)
        with open(place, "w", encoding="utf-8") as file:
            json.dump(certificate, file)
        with open(manifest, encoding="utf-8") as file:
            facts = json.load(file)
        facts["certificate"]["digest"] = "sha256:" + self.digest(place)
        with open(manifest, "w", encoding="utf-8") as file:
            json.dump(facts, file)

    def test_what_does_not_answer_as_it_was_certified_is_not_used(self):
        question = "order 3 of banana split to table 9"
        for suffix, more in (("words", ("--method", "linear")), ("both", ("--method", "blend")),
                             ("quick", ("--method", "lora", "--fast"))):
            self.output(*self.arguments(suffix, *more))
            with open(self.place(suffix, "malina.json"), encoding="utf-8") as file:
                text = file.read()
            self.assertEqual(json.loads(text)["certificate"]["examples"], 24)
            self.assertEqual(json.loads(text)["certificate"]["tolerance"], 0.002)
            self.assertNotIn("banana", text)  # texts stand in the certificate alone
            self.json("decide", "tiny:" + suffix, question)
            self.json("decide", "tiny:" + suffix, question)  # remembered
        self.assertEqual(len(os.listdir(os.path.join(self.home, "tuned", ".checked"))), 3)

        def other_probability(certificate):
            longest = max(certificate["examples"], key=lambda each: len(each["text"]))
            longest["probabilities"] = longest["probabilities"][1:] + longest["probabilities"][:1]

        def other_tokens(certificate):
            certificate["examples"][2]["tokens"] = certificate["examples"][0]["tokens"]

        self.certify("words", other_probability)
        self.assertRegex(self.error(CORRUPT, "decide", "tiny:words", question), r"example \d+ answers 'fruit")
        self.certify("both", other_tokens)
        message = self.error(CORRUPT, "decide", "tiny:both", question)
        self.assertIn("example 3 is read as other tokens", message)
        self.assertNotIn("order", message)
        with open(self.place("quick", "certificate.json"), "a", encoding="utf-8") as file:
            file.write(" ")
        self.assertIn("is not the one", self.error(CORRUPT, "decide", "tiny:quick", question))
        os.remove(self.place("quick", "certificate.json"))
        self.assertIn("is missing", self.error(CORRUPT, "decide", "tiny:quick", question))
        # Files of another classifier of the same kind.
        self.output(*self.arguments("a", "--method", "lora"))
        self.output(*self.arguments("b", "--method", "lora", "--seed", "7"))
        os.replace(self.place("b", ADAPTER), self.place("a", ADAPTER))
        self.assertIn("does not answer as it did", self.error(CORRUPT, "decide", "tiny:a", question))

    def test_a_place_may_end_with_a_slash_and_is_replaced_whole(self):
        for force in ((), ("--force",)):
            self.output(*self.arguments("x", "--method", "lora", "--output", "out/", *force))
            self.assertIn(ADAPTER, os.listdir(self.path("out")))
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("out")], ["out"])
        self.json("decide", "out", "order 3 of banana split to table 9")

    def test_a_snapshot_is_of_its_data_alone(self):
        self.write("more.csv", rows(60, 200))
        arguments = self.arguments("part", "--method", "lora")
        command = [PROGRAM, *arguments, "--validation", "more.csv"]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not os.path.exists(self.place("part") + ".snapshot"):
            time.sleep(0.002)
        process.kill()
        process.wait()
        self.assertTrue(os.path.exists(self.place("part") + ".snapshot"), "it ended before its first epoch")
        for other in (("--data", "more.csv"), ("--validation", "more.csv", "--max-tokens", "100")):
            self.assertIn("remove it", self.error(USAGE, *arguments, *other))
        self.output(*arguments, "--validation", "more.csv")

    def test_an_adapter_has_the_same_bytes_for_any_threads_and_after_a_kill(self):
        self.output(*self.arguments("one", "--method", "lora", "--threads", "1"))
        expected = self.digest(self.place("one", ADAPTER))
        self.output(*self.arguments("two", "--method", "lora", "--threads", "2"))
        self.assertEqual(self.digest(self.place("two", ADAPTER)), expected)
        self.assertEqual(
            sorted(os.listdir(self.place("two"))),
            ["README.md", "adapter_config.json", ADAPTER, "certificate.json", "linear.bin", "malina.json", "report.html"])
        # Killed as soon as there is a snapshot, that is after an epoch at most.
        command = [PROGRAM, *self.arguments("three", "--method", "lora")]
        for _ in range(20):
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if os.path.exists(self.place("three") + ".snapshot"):
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.002)
            process.wait()
            if os.path.exists(self.place("three")):
                break
        else:
            self.output(*command[1:])
        self.assertEqual(self.digest(self.place("three", ADAPTER)), expected)
        self.assertFalse(os.path.exists(self.place("three") + ".snapshot"))

    def test_labels_that_are_written_have_the_same_bytes_after_a_kill_and_answer(self):
        arguments = lambda suffix, *more: self.arguments(suffix, "--method", "labels", *more)
        report = self.json(*arguments("one", "--threads", "1", "--test", "test.csv"))
        self.assertEqual([rung["method"] for rung in report["rungs"]], ["linear", "labels"])
        self.assertEqual(report["chosen"], "labels")
        self.assertEqual(len(report["label_epochs"]), 3)
        self.assertIsNone(report["labels_left_out"])
        snapshot = self.place("two") + ".snapshot.labels"
        process = subprocess.Popen([PROGRAM, *arguments("two", "--threads", "2", "--test", "test.csv")], cwd=self.folder,
                                   env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not os.path.exists(snapshot):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertFalse(os.path.exists(self.place("two")), "it ended before its first epoch")
        again = self.json(*arguments("two", "--threads", "2", "--test", "test.csv"))
        self.assertFalse(os.path.exists(snapshot))
        self.assertEqual(self.digest(self.place("two", ADAPTER)), self.digest(self.place("one", ADAPTER)))
        for key in ("label_epochs", "test", "after_calibration", "answers"):
            self.assertEqual(again[key], report[key])
        question = "order 3 of banana split to table 9"
        answers = [self.json("decide", "tiny:" + suffix, question)["answers"] for suffix in ("one", "two", "two")]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[1], answers[2])  # the certificate is remembered, the answer is not
        self.assertIs(answers[0][0]["calibrated"], True)
        self.assertEqual([each["value"] for each in answers[0][0]["probabilities"]], ["fruit0", "fruit1", "fruit2"])
        # A text that is longer than is read of it.
        self.json("decide", "tiny:one", "order 3 of banana split " * 500)
        os.replace(self.place("one", "malina.json"), self.path("kept.json"))
        with open(self.path("kept.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["question"]["instructions"] = "Which one?"
        with open(self.place("one", "malina.json"), "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        self.assertIn("read as other tokens", self.error(CORRUPT, "decide", "tiny:one", question))

    def test_a_dry_run_knows_what_writing_labels_takes(self):
        done = subprocess.run([PROGRAM, *self.arguments("x", "--method", "labels", "--dry-run", "--search"), "--test", "test.csv",
                               "--json"], capture_output=True, cwd=self.folder, env=self.environment(), timeout=300, check=True)
        self.assertEqual(done.stderr.decode(), "Without effect on --method labels: --search\n")
        plan = json.loads(done.stdout)
        self.assertEqual([stage["name"] for stage in plan["stages"]],
                         ["linear baseline", "learning curve and suspected labels", "training of the adapter", "scores of labels", "test rows"])
        self.assertEqual((plan["steps"], plan["epochs"], plan["batch"]), (36, 3, 8))
        self.assertFalse(os.path.exists(self.place("x")))

    def opposite(self):
        """Validation rows that mean the opposite: whoever has learned the words is always wrong, and an adapter that has
        learned nothing is right by chance."""
        self.write("opposite.csv", "text,label\n" + "".join(
            f"order {i} of {FRUITS[1 + i % 2]} to table {i % 13},fruit{2 - i % 2}\n" for i in range(40)))
        return ("--validation", "opposite.csv", "--learning-rate", "1e-7", "--search-rates", "2e-7")

    def test_auto_shows_the_recipes_of_both_adapters(self):
        report = self.json(*self.arguments("both", *self.opposite()))
        self.assertEqual(report["rungs"][-1]["method"], "labels", report["labels_left_out"])
        with open(self.place("both", "report.html"), encoding="utf-8") as file:
            page = PageReader(file.read())
        self.assertEqual(page.faults, [])
        head, labels = page.text.split("Training of the adapter that writes labels")
        self.assertIn("Training of the adapter", head)
        # What was searched for is the rate of the adapter with a head; the other one has what was asked for.
        self.assertIn("learning rate2e-07", head)
        self.assertIn("learning rate1e-07", labels)

    def test_a_search_goes_on_after_a_kill(self):
        search = ("--method", "lora", "--search-rates", "1e-3", "--search-rates", "3e-3", "--search-rates", "5e-3", "--curve")
        arguments = lambda suffix: [*("4" if word == "3" else word for word in self.arguments(suffix)), *search]
        report = self.json(*arguments("one"))
        self.assertEqual([trial["epochs"] for trial in report["search"]], [1, 1, 1, 2, 2])
        best = max(report["search"][3:], key=lambda trial: (trial["macro_f1"], -trial["loss"]))
        self.assertTrue(best["kept"])
        with open(self.place("one", "malina.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["recipe"]["learning_rate"], best["learning_rate"])
        self.assertEqual([curve["method"] for curve in report["learning_curves"]], ["linear", "lora"])
        command = [PROGRAM, *arguments("two")]
        killed = 0
        for moment in ("search-1-0.003", "search-2-", "snapshot.curve-12"):
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(),
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None:
                if any(moment in name for name in os.listdir(os.path.join(self.home, "tuned"))):
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
            process.wait()
            killed += process.returncode == -signal.SIGKILL
        self.assertGreater(killed, 0)
        resumed = self.json(*command[1:])
        for same in ("search", "epochs", "losses", "learning_curves"):
            self.assertEqual(resumed[same], report[same], same)
        self.assertEqual(self.digest(self.place("two", ADAPTER)), self.digest(self.place("one", ADAPTER)))
        left = [name for name in os.listdir(os.path.join(self.home, "tuned")) if not name.startswith(".")]
        self.assertEqual(sorted(left), ["tiny:one", "tiny:two"])  # a kill within a write leaves a hidden part
        shown = self.output(*arguments("three"))
        for text in ("Search for the learning rate", "LEARNING RATE", "more labels ≈"):
            self.assertIn(text, shown)

    def test_a_dry_run_leaves_nothing_behind(self):
        before = sorted(os.walk(self.home))
        plan = self.json(*self.arguments("dry", "--dry-run", "--test", "test.csv", "--search", "--curve"))
        self.assertEqual(sorted(os.walk(self.home)), before)
        self.assertFalse(os.path.exists(self.place("dry")))
        self.assertEqual((plan["steps"], plan["epochs"], plan["batch"]), (36, 3, 8))
        self.assertTrue(plan["fits"])
        self.assertEqual(sum(part["bytes"] for part in plan["memory"]), plan["peak_bytes"])
        self.assertAlmostEqual(sum(stage["seconds"] for stage in plan["stages"]), plan["seconds"], places=6)
        self.assertEqual([stage["name"] for stage in plan["stages"]],
                         ["linear baseline", "learning curve and suspected labels", "features of the probe", "probe",
                          "search for the learning rate", "training of the adapter",
                          "learning curve of the adapter", "where an adapter is chosen: training on all rows", "test rows",
                          "where the adapter beats what is cheaper: labels"])
        self.assertEqual(plan["labels"]["seconds"], plan["stages"][-1]["seconds"])
        self.assertLessEqual(plan["labels"]["peak_bytes"], plan["peak_bytes"])
        self.assertIsNone(plan["labels_left_out"])
        self.check("tune as a dry run", plan)
        alone = self.json(*self.arguments("dry", "--dry-run", "--method", "lora"))
        self.assertEqual((alone["labels"], alone["labels_left_out"]), (None, None))
        self.assertNotIn("labels", alone["stages"][-1]["name"])
        shown = self.output(*self.arguments("dry", "--dry-run"))
        for text in ("at its peak", "in all, at most", "36 steps of 8 texts, 3 epochs", "Nothing was written",
                     "where the adapter beats what is cheaper: labels", "another one is trained that writes labels: at most"):
            self.assertIn(text, shown)
        # The whole takes as many steps, and about as much memory: a tiny model is nearly all program.
        self.output(*self.arguments("dry", "--method", "lora"))
        self.assertIn("--force", self.error(EXISTS, *self.arguments("dry", "--dry-run")))

    def test_a_manifest_without_its_base_is_refused(self):
        self.output(*self.arguments("fruit", "--method", "probe"))
        path = self.place("fruit", "malina.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["base"]["digest"] = ""
        del manifest["certificate"]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(manifest, file)
        self.assertIn("names no base", self.error(CORRUPT, "decide", "tiny:fruit", "order 3 of apple pie"))

    def test_wrong_input(self):
        fruit = self.arguments("fruit", "--method", "linear")
        self.output(*fruit)
        self.assertIn("--force", self.error(EXISTS, *fruit))
        self.output(*fruit, "--force")
        self.assertIn("--model", self.error(USAGE, "tune", "--data", "train.csv", "--suffix", "x"))
        self.assertIn("suffix", self.error(USAGE, *self.arguments("../x", "--method", "linear")))
        self.error(NOT_FOUND, *self.arguments("x"), "--data", "none.csv")
        self.error(NOT_FOUND, "tune", "--model", "none", "--data", "train.csv", "--suffix", "x")
        self.write("bad.csv", "text,label\na,x\n,y\n")
        self.assertIn("line 3", self.error(USAGE, "tune", "--data", "bad.csv", "--suffix", "x",
                                           "--method", "linear"))
        # What no decision can be called is refused before anything is trained.
        self.write("blank.csv", rows(60) + "x, blank\n" * 60)
        self.assertIn("white space", self.error(USAGE, *self.arguments("x", "--method", "linear"), "--data", "blank.csv"))
        self.write("few.csv", rows(3))
        self.assertIn("3 validation rows", self.error(USAGE, *self.arguments("x", "--validation", "few.csv")))
        with open(self.place("broken") + ".snapshot", "wb") as file:
            file.write(b"not a snapshot")
        self.error(CORRUPT, *self.arguments("broken", "--method", "lora"))


if __name__ == "__main__":
    program.main()
