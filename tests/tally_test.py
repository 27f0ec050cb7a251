"""Holds the rules of scripts/tally.py: what counts as passed, and what can never pass unseen."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TALLY = pathlib.Path(__file__).resolve().parent.parent / "scripts" / "tally.py"


def gtest(*cases: str) -> str:
    return f"<testsuites><testsuite name='S'>{''.join(cases)}</testsuite></testsuites>"


def case(name: str, inside: str = "", status: str = "run") -> str:
    return f"<testcase name='{name}' classname='S' status='{status}'>{inside}</testcase>"


class Tally(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def tally(self, ctest: str | None, reports: dict[str, str], *options: str):
        run = pathlib.Path(self.folder.name) / "run"
        run.mkdir()
        if ctest is not None:
            (run / "ctest.xml").write_text(f"<testsuite>{ctest}</testsuite>")
        for name, text in reports.items():
            (run / f"{name}_test.xml").write_text(text)
        done = subprocess.run([sys.executable, TALLY, *options, run], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_every_test_of_a_program_counts(self):
        code, lines = self.tally(case("base"), {"base": gtest(case("a"), case("b"))})
        self.assertEqual((code, lines[-1]), (0, "2 passed, 0 failed, 0 skipped"))

    def test_a_failed_test_fails(self):
        code, lines = self.tally(
            case("base", status="fail"), {"base": gtest(case("a"), case("b", "<failure/>"))})
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("S.b", "\n".join(lines))

    def test_a_crash_after_passing_tests_fails(self):
        code, lines = self.tally(case("base", status="fail"), {"base": gtest(case("a"))})
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_crash_that_leaves_no_report_fails(self):
        code, lines = self.tally(case("base", status="fail"), {})
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_a_skip_needs_a_missing_instruction_set(self):
        good = "<skipped message='this machine lacks AVX-512'/>"
        bad = "<skipped message='no model here'/>"
        code, lines = self.tally(case("math"), {"math": gtest(case("a"), case("b", good))})
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed, 1 skipped"))
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        code, lines = self.tally(case("math"), {"math": gtest(case("a"), case("b", bad))})
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_disabled_test_fails(self):
        code, _ = self.tally(case("base"), {"base": gtest(case("a"), case("b", status="notrun"))})
        self.assertEqual(code, 1)

    def test_running_nothing_fails(self):
        self.assertEqual(self.tally(case("base"), {"base": gtest()})[0], 1)

    def test_a_missing_report_of_ctest_fails(self):
        self.assertEqual(self.tally(None, {})[0], 1)

    def test_a_broken_build_fails(self):
        code, lines = self.tally(case("base"), {"base": gtest(case("a"))}, "--broken", "the build")
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_a_script_counts_what_it_says(self):
        output = "<system-out>x\n12 passed, 0 failed, 1 skipped\n</system-out>"
        code, lines = self.tally(case("golden", output) + case("plain"), {})
        self.assertEqual((code, lines[-1]), (0, "13 passed, 0 failed, 1 skipped"))

    def unittest(self, summary: str, status: str = "run"):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        output = f"<system-out>...\n{'-' * 70}\n{summary}\n</system-out>"
        code, lines = self.tally(case("commands", output, status), {})
        return code, lines[-1]

    def test_a_script_of_unittest_counts_its_tests(self):
        self.assertEqual(self.unittest("Ran 12 tests in 0.315s\n\nOK"),
                         (0, "12 passed, 0 failed, 0 skipped"))
        self.assertEqual(self.unittest("Ran 1 test in 0.315s\n\nOK"),
                         (0, "1 passed, 0 failed, 0 skipped"))
        self.assertEqual(self.unittest("Ran 9 tests in 1s\n\nFAILED (failures=1, errors=2)", "fail"),
                         (1, "6 passed, 3 failed, 0 skipped"))

    def test_unittest_neither_skips_nor_runs_nothing_unseen(self):
        self.assertEqual(self.unittest("Ran 9 tests in 1s\n\nOK (skipped=2)"),
                         (1, "7 passed, 2 failed, 0 skipped"))
        self.assertEqual(self.unittest("Ran 9 tests in 1s\n\nOK (expected failures=2)")[0], 0)
        self.assertEqual(self.unittest("Ran 0 tests in 0s\n\nOK")[0], 1)
        self.assertEqual(self.unittest("Ran 0 tests in 0s\n\nNO TESTS RAN")[0], 1)

    def test_a_log_counts_all_that_unittest_says_in_it(self):
        log = pathlib.Path(self.folder.name) / "clients.log"

        def tally(text):
            log.write_text(text)
            done = subprocess.run([sys.executable, TALLY, log], capture_output=True, text=True)
            return done.returncode, done.stdout.splitlines()[-1]

        summary = lambda ran, how: f"...\n{'-' * 70}\nRan {ran} tests in 1.5s\n\n{how}\n"
        self.assertEqual(tally(summary(12, "OK") + summary(3, "OK")), (0, "15 passed, 0 failed, 0 skipped"))
        self.assertEqual(tally(summary(12, "FAILED (errors=2)") + summary(3, "OK")),
                         (1, "13 passed, 2 failed, 0 skipped"))
        self.assertEqual(tally(summary(12, "OK") + summary(0, "NO TESTS RAN")), (1, "12 passed, 1 failed, 0 skipped"))
        self.assertEqual(tally("nothing")[0], 1)

    def test_a_script_names_what_failed(self):
        log = pathlib.Path(self.folder.name) / "fuzz.log"
        log.write_text("failed: http ended with 77: ERROR: deadly signal\n17 passed, 1 failed, 0 skipped\n")
        done = subprocess.run([sys.executable, TALLY, log], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("  FAILED fuzz: http ended with 77: ERROR: deadly signal", done.stdout.splitlines())


if __name__ == "__main__":
    unittest.main()
