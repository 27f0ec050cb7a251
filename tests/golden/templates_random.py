#!/usr/bin/env python3
"""Compares malina with Jinja2 on random chat templates and conversations.

    pip install jinja2==3.1.6
    cmake --build --preset release --target templates_probe
    python tests/golden/templates_random.py [--count 2000] [--seed 1] [--probe PROGRAM]

Every fifth is a real template of templates/sources with a random conversation. A difference is an output
that is not the same, an error where Jinja2 renders, or an output where Jinja2 raises; it is reported with
the number that repeats it alone (--seed N --count 1) and a template with what does not matter cut away.
Where malina says `unsupported`, that is counted by its message and no difference. Ends with 1 where there
was a difference.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import warnings

import templates_reference
from templates_grammar import Grammar

HERE = pathlib.Path(__file__).parent
SECONDS = 5  # for Jinja2, which has no budget
BUDGET = re.compile(r"takes more than|longer than|nest(s|ed) deeper|more than 100000 items")
# Flaws of Jinja2's compiler, which malina does not repeat. It loses sight of a name that only the
# arguments of a set block's filter mention. What it computes beforehand cannot be nan or inf, may
# raise where it would never run, and is undefined where a slice would raise.
FLAWS = re.compile(r"AssertionError: Tried to resolve a name|NameError: name '(nan|inf)'|unhashable type")
FOLDED = re.compile(r"cannot be sliced")


class Probe:
    def __init__(self, program):
        environment = {**os.environ, "TZ": "UTC"}
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def render(self, template, variables):
        request = {"template": template, "variables": variables, "now": templates_reference.NOW}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the probe ended with {self.process.wait()} at\n{json.dumps(request)}")
        return json.loads(answer)


def too_slow(number, frame):
    raise TimeoutError("Jinja2 takes too long")


def by_jinja(template, variables):
    """Like the probe's answer. None: it takes too long."""
    signal.alarm(SECONDS)
    try:
        return {"output": templates_reference.compile_template(template).render(**json.loads(json.dumps(variables)))}
    except (TimeoutError, MemoryError):
        return None
    except Exception as error:  # whatever Python raises is an error of the rendering
        return None if signal.getitimer(signal.ITIMER_REAL)[0] == 0 else {"error": f"{type(error).__name__}: {error}"}
    finally:
        signal.alarm(0)


def judge(wanted, got):
    """'same', 'unsupported', 'skipped' or 'different'."""
    if wanted is None or BUDGET.search(got.get("error", "")):
        return "skipped"
    if got.get("fault") == "unsupported":
        return "unsupported"
    if "error" in got and "error" in wanted or "output" in got and got == wanted:
        return "same"
    flawed = FLAWS.search(wanted.get("error", "")) or FOLDED.search(got.get("error", ""))
    address = " at 0x" in wanted.get("output", "")
    return "skipped" if flawed or address else "different"


def shorter(template, differs):
    """Without the parts that the difference does not need."""
    for pattern in (r"(\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\})", r"(\W)"):
        parts = [part for part in re.split(pattern, template, flags=re.DOTALL) if part]
        size = max(len(parts) // 2, 1)
        tries = 400
        while tries > 0:
            at = 0
            while at < len(parts) and tries > 0:
                tries -= 1
                rest = parts[:at] + parts[at + size:]
                if differs("".join(rest)):
                    parts = rest
                else:
                    at += size
            if size == 1:
                break
            size //= 2
        template = "".join(parts)
    return template


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="the first number")
    parser.add_argument("--probe", default=HERE.parents[1] / "build/release/tests/golden/templates_probe")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, too_slow)
    probe = Probe(options.probe)
    real = [path.read_bytes().decode() for path in sorted((HERE / "templates" / "sources").glob("*.jinja"))]
    verdicts, outputs, unsupported = collections.Counter(), 0, collections.Counter()
    for number in range(options.seed, options.seed + options.count):
        grammar = Grammar(number)
        variables = grammar.conversation()
        template = real[number // 5 % len(real)] if number % 5 == 0 else grammar.template()
        wanted, got = by_jinja(template, variables), probe.render(template, variables)
        verdict = judge(wanted, got)
        verdicts[verdict] += 1
        outputs += verdict == "same" and "output" in got
        if verdict == "unsupported" and "output" in wanted:
            unsupported[re.sub(r".*line \d+: ", "", got["error"])] += 1
        if verdict != "different":
            continue
        differs = lambda source: judge(by_jinja(source, variables), probe.render(source, variables)) == "different"
        cut = shorter(template, differs)
        print(f"{number}: {cut!r}\n  Jinja2 {by_jinja(cut, variables)}\n  malina {probe.render(cut, variables)}\n"
              f"  {json.dumps(variables, ensure_ascii=False)}", flush=True)
    for message, times in unsupported.most_common(20):
        print(f"unsupported {times} times: {message}")
    print(f"{options.count} templates: {verdicts['same']} the same ({outputs} rendered), {verdicts['different']} different, "
          f"{verdicts['unsupported']} unsupported ({sum(unsupported.values())} that Jinja2 renders), {verdicts['skipped']} skipped")
    return 1 if verdicts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
