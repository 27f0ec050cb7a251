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


def commands(program):
    """Every command as its words; a command with verbs is followed by each of them."""
    listed = []
    for command in re.findall(r"^  (\w+)  ", help_of(program, "--help"), re.MULTILINE):
        listed.append([command])
        text = help_of(program, command, "--help")
        if "\nVerbs:\n" in text:
            verbs = text.split("\nVerbs:\n")[1].split("\n\n")[0]
            listed += [[command, verb] for verb in re.findall(r"^  (\w+)  ", verbs, re.MULTILINE)]
    return listed


def make(program):
    page = HEAD + f"```\n{help_of(program, '--help')}\n```\n"
    for command in commands(program):
        name = " ".join(command)
        page += f"\n## malina {name}\n\n```\n{help_of(program, *command, '--help')}\n```\n"
    return page


if __name__ == "__main__":
    sys.stdout.write(make(sys.argv[1]))
