#!/usr/bin/env python3
"""Sums test results and holds the rule on skipped tests.

    scripts/tally.py [--broken WHAT]... RESULTS...

Each --broken is a failure that left no report, such as a build. A RESULTS that is a .xml file is the
report of a GoogleTest program, any other file the output of a script (see below). A folder is one
run of ctest: ctest.xml (--output-junit), and one NAME.xml for every GoogleTest program
(GTEST_OUTPUT=xml:FOLDER/). A program that ended without writing its file, or failed beyond its own
tests (a crash, a sanitizer's report at exit), counts as a failure. A script's last line
"N passed, N failed, N skipped" (lines "failed: WHAT" above it name what failed), or what Python's
unittest prints at its end, counts as that many tests; any other script of ctest counts as one.

A skipped or disabled test is a failure unless its reason says that this machine lacks an
instruction set. The last line printed is the total; the exit code is 0 only where nothing failed
and something ran.
"""

import argparse
import dataclasses
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$",
                      re.MULTILINE)
COMPLAINT = re.compile(r"^failed: (.+)$", re.MULTILINE)  # a script's own word on one of its tests
GOOD_REASON = re.compile(r"lacks (the )?(instruction set|AVX|NEON|VNNI|BF16|FMA|F16C|SSE)", re.IGNORECASE)


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    complaints: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Count") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.complaints += other.complaints

    def fail(self, complaint: str) -> None:
        self.failed += 1
        self.complaints.append(complaint)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count_skip(count: Count, name: str, reason: str) -> None:
    if GOOD_REASON.search(reason):
        count.skipped += 1
    else:
        count.fail(f"{name} was skipped: {' '.join(reason.split()) or 'no reason given'}")


def count_gtest(path: pathlib.Path) -> Count:
    count = Count()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            count.fail(f"{name} failed")
        elif case.get("status") == "notrun":
            count.fail(f"{name} is disabled")
        elif skipped is not None:
            count_skip(count, name, (skipped.get("message") or "") + (skipped.text or ""))
        else:
            count.passed += 1
    return count


def count_unittest(name: str, ran: str, exceptions: str) -> Count:
    """Of "Ran `ran` tests", and of what stands behind FAILED or OK: "failures=1, skipped=2"."""
    count = Count()
    numbers = {word: int(number) for word, number in re.findall(r"([a-z ]+)=(\d+)", exceptions)}
    for word, number in numbers.items():
        if word.strip() != "expected failures":  # a skip does not tell its reason here
            count.failed += number
            count.complaints.append(f"{number} {word.strip()} in {name}")
    count.passed = max(0, int(ran) - count.failed)
    return count


def count_output(name: str, output: str) -> Count:
    """What a script printed of totals, its own and those of Python's unittest; zeros where it printed none."""
    count = Count()
    for summary in UNITTEST.findall(output):  # of several programs, where a script runs them
        count.add(count_unittest(name, *summary))
        if summary[0] == "0":
            count.fail(f"a part of {name} ran no test")
    totals = TOTALS.findall(output)
    if totals:
        passed, failed, skipped = (int(number) for number in totals[-1])
        complaints = [f"{name}: {complaint}" for complaint in COMPLAINT.findall(output)]
        count.add(Count(passed, failed, skipped, complaints or [f"{failed} failed in {name}"] * (failed > 0)))
    return count


def count_script(case: ElementTree.Element) -> Count:
    output = case.findtext("system-out") or ""
    summary = UNITTEST.findall(output)
    if summary:
        return count_unittest(case.get("name"), *summary[-1])
    count = count_output(case.get("name"), output)
    if count.passed + count.failed + count.skipped == 0 and case.get("status") == "run":
        count.passed = 1
    return count


def count_run(folder: pathlib.Path) -> Count:
    total = Count()
    report = folder / "ctest.xml"
    if not report.exists():
        total.fail(f"{folder.name}: ctest wrote no report")
        return total
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = case.get("name")
        details = folder / f"{name}_test.xml"
        if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            count_skip(total, name, case.findtext("system-out") or "")
            continue
        count = count_gtest(details) if details.exists() else count_script(case)
        if case.get("status") == "fail" and count.failed == 0:
            count.fail(f"{name} failed beyond its own tests (a crash, a time-out or a sanitizer)")
        if count.passed + count.failed + count.skipped == 0:
            count.fail(f"{name} ran no test")
        count.complaints = [f"{folder.name}: {complaint}" for complaint in count.complaints]
        total.add(count)
    return total


def count_path(path: pathlib.Path) -> Count:
    if path.is_dir():
        return count_run(path)
    if path.suffix == ".xml":
        return count_gtest(path)
    return count_output(path.stem, path.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broken", action="append", default=[])
    parser.add_argument("results", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    total = Count()
    for path in arguments.results:
        count = count_path(path)
        print(f"  {path.stem:<22} {count}")
        total.add(count)
    for what in arguments.broken:
        total.fail(what)
    for complaint in total.complaints:
        print(f"  FAILED {complaint}")
    print(total)
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
