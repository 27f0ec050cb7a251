"""Runs the program as a user does. The first argument of a test script is the program's path."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""

# docs/reference/exit-codes.md
USAGE, NOT_FOUND, EXISTS, CORRUPT, UNSUPPORTED, IO, CANCELLED = 2, 3, 4, 5, 6, 7, 130


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="malina_commands_")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = os.path.join(self.folder, "home")

    def path(self, name):
        return os.path.join(self.folder, name)

    def environment(self, **more):
        environment = {"PATH": os.environ["PATH"], "MALINA_HOME": self.home, "LC_ALL": "C.UTF-8",
                       "MALINA_CONFIG": "/dev/null"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update(more)
        return environment

    def malina(self, *arguments, code=0, input=b"", environment=None, **options):
        """Runs it, checks the exit code, and that a failure is one line that begins "malina: "."""
        result = subprocess.run(
            [PROGRAM, *arguments],
            input=input,
            capture_output=True,
            cwd=self.folder,
            env=environment or self.environment(),
            timeout=300,
            **options,
        )
        error = result.stderr.decode()
        self.assertEqual(result.returncode, code, f"malina {' '.join(arguments)}: {error}")
        if code != 0:
            self.assertTrue(error.startswith("malina: "), error)
            self.assertEqual(error.count("\n"), 1, error)
        else:
            self.assertEqual(error, "")
        return result

    def output(self, *arguments, **options):
        return self.malina(*arguments, **options).stdout.decode()

    def error(self, code, *arguments, **options):
        return self.malina(*arguments, code=code, **options).stderr.decode()

    def json(self, *arguments, **options):
        return json.loads(self.malina(*arguments, "--json", **options).stdout)

    def stored(self):
        """The entries of the store's folders: (placed models, unfinished work)."""
        listed = []
        for name in ("sha256", "unfinished"):
            folder = os.path.join(self.home, "models", name)
            listed.append(sorted(os.listdir(folder)) if os.path.isdir(folder) else [])
        return tuple(listed)

    def assert_nothing_left(self):
        self.assertEqual(self.stored(), ([], []))
        self.assertEqual(self.json("list"), {"models": []})


def main():
    unittest.main(verbosity=1)
