#!/usr/bin/env python3
"""Prints docs/reference/commands.md from the program's own help: commands_page.py PROGRAM."""

import os
import re
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/reference/commands.md")

HEAD = """# Commands

Made from the program's own `--help` by `tests/commands/commands_page.py`; a test holds it.
See also [exit codes](exit-codes.md) and [JSON](json.md).

"""


def help_of(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, check=True,
                          text=True).stdout.rstrip()


def make(program):
    page = HEAD + f"```\n{help_of(program, '--help')}\n```\n"
    for command in re.findall(r"^  (\w+)  ", help_of(program, "--help"), re.MULTILINE):
        page += f"\n## malina {command}\n\n```\n{help_of(program, command, '--help')}\n```\n"
    return page


if __name__ == "__main__":
    sys.stdout.write(make(sys.argv[1]))
