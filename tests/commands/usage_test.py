"""What holds for every command: help, wrong use, exit codes, pipes, terminals, completion."""

import os
import pty
import re
import signal
import subprocess
import time

import commands_page
import gguf_file
import program
from program import IO, USAGE


class UsageTest(program.ProgramTest):
    def commands(self):
        return re.findall(r"^  (\w+)  ", self.output("--help"), re.MULTILINE)

    def test_version(self):
        self.assertRegex(self.output("--version"), r"^malina \d+\.\d+\.\d+\n$")

    def test_each_command_teaches_by_example(self):
        self.assertLessEqual(
            {"import", "list", "remove", "verify", "tokenize", "inspect", "info", "completion"},
            set(self.commands()))
        for command in self.commands():
            text = self.output(command, "--help")
            self.assertIn(f"Usage: malina {command}", text)
            self.assertIn(f"\n  malina {command}", text.replace("source <(", "").replace(
                "MALINA_ISA=avx2 ", ""), "an example")
            self.assertEqual(self.output("help", command), text)
        for words in commands_page.commands(program.PROGRAM):
            text = self.output(*words, "--help")
            self.assertIn("Usage: malina " + " ".join(words), text)
            self.assertIn("\n  ", text.split("Examples:")[1])
            self.assertEqual(self.output("help", *words), text)
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 100, words)

    def test_the_reference_is_what_help_prints(self):
        with open(commands_page.PAGE, encoding="utf-8") as page:
            self.assertEqual(page.read(), commands_page.make(program.PROGRAM),
                             f"run: tests/commands/commands_page.py PROGRAM > {commands_page.PAGE}")

    def test_wrong_use(self):
        self.assertIn("did you mean 'list'?", self.error(USAGE, "lsit"))
        self.assertIn("Usage: malina key rotate ID", self.output("help", "key", "rotate"))
        self.assertIn("see 'malina key --help'", self.error(USAGE, "key", "--frobnicate"))
        self.assertIn("malina key list --help", self.error(USAGE, "key", "list", "extra"))
        self.assertIn("'malina --help' lists them", self.error(USAGE, "frobnicate"))
        self.assertIn("did you mean '--name'?", self.error(USAGE, "import", "--nmae", "x", "y"))
        self.assertIn("malina list --help", self.error(USAGE, "list", "extra"))
        self.assertIn("--name", self.error(USAGE, "import", "x", "--name"))
        self.assertIn("unexpected argument '--ids' after --",
                      self.error(USAGE, "tokenize", "x", "--", "--text", "--ids"))
        self.assertIn("options come after", self.error(USAGE, "--json", "list"))
        without = subprocess.run([program.PROGRAM], capture_output=True, env=self.environment())
        self.assertEqual((without.returncode, without.stdout), (USAGE, b""))
        self.assertIn(b"Usage:", without.stderr)

    def test_an_error_is_one_line_whatever_is_in_it(self):
        message = self.error(program.NOT_FOUND, "inspect", "./a\nb\x1b[31mc")
        self.assertNotIn("\x1b", message)

    def test_a_closed_pipe_ends_quietly(self):
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([program.PROGRAM, "info"], stdout=writer, stderr=subprocess.PIPE,
                                env=self.environment())
        os.close(writer)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([program.PROGRAM, "info"], stdout=full, stderr=subprocess.PIPE,
                                    env=self.environment())
        self.assertEqual(result.returncode, IO)
        self.assertEqual(result.stderr,
                         b"malina: cannot write the output: No space left on device\n")

    def test_an_instruction_set_that_does_not_exist(self):
        self.assertIn("MALINA_ISA", self.error(
            USAGE, "info", environment=self.environment(MALINA_ISA="sse9")))
        for name in self.json("info")["instruction_sets"]["available"]:
            report = self.json("info", environment=self.environment(MALINA_ISA=name))
            self.assertEqual(report["instruction_sets"]["selected"], name)

    def on_terminal(self, *arguments, after_start=None, **environment):
        """What the program writes to a terminal that is its standard output and error."""
        controller, terminal = pty.openpty()
        process = subprocess.Popen([program.PROGRAM, *arguments], stdout=terminal, stderr=terminal,
                                   stdin=subprocess.DEVNULL, cwd=self.folder,
                                   env=self.environment(TERM="xterm", **environment))
        os.close(terminal)
        if after_start:
            after_start(process.pid)
        output = b""
        while True:
            try:
                piece = os.read(controller, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            output += piece
        os.close(controller)
        self.assertEqual(process.wait(timeout=120), 0, output)
        return output

    def stop_for_over_a_second(self, pid):
        """In the middle of reading a file: so the step is long on any machine."""
        def bytes_read():
            with open(f"/proc/{pid}/io", encoding="ascii") as counters:
                return int(re.search(r"rchar: (\d+)", counters.read()).group(1))
        while bytes_read() < 20_000_000:
            time.sleep(0.002)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.2)
        os.kill(pid, signal.SIGCONT)

    def test_a_long_step_shows_how_far_it_is(self):
        large = gguf_file.write_model(self.path("large.gguf"), hidden=400_000)  # 307 MB, a hole
        output = self.on_terminal("inspect", large, after_start=self.stop_for_over_a_second)
        self.assertRegex(output, rb"digesting +\d+ %  \[#*-*\]  [\d.]+ .B/s  \d+ s left")
        self.assertNotIn(b"digesting", output.rsplit(b"\x1b[K", 1)[1], "gone at the end")

    def test_a_long_prompt_shows_how_far_it_is(self):
        slow = gguf_file.write_model(self.path("slow.gguf"), hidden=100_000, layers=2, context=6000)
        output = self.on_terminal("run", slow, "x " * 2900, "--max-tokens", "1", "--threads", "1",
                                  "--exact")
        self.assertRegex(output, rb"reading the prompt +\d+ %  \[#*-*\]  \d+ tokens/s  \d+ s left")
        self.assertNotIn(b"reading", output.rsplit(b"\x1b[K", 1)[1], "gone before the answer")

    def test_a_short_step_shows_nothing(self):
        tiny = gguf_file.write_model(self.path("tiny.gguf"))
        self.assertNotIn(b"\x1b", self.on_terminal("import", tiny, NO_COLOR="1"))


class CompletionTest(program.ProgramTest):
    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = self.output("completion", "bash") + """
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_malina
printf '%s\\n' "${COMPREPLY[@]}"
"""
        result = subprocess.run(["bash", "-c", script, "bash", program.PROGRAM, *words],
                                capture_output=True, cwd=self.folder, env=self.environment())
        self.assertEqual(result.stderr, b"")
        return result.stdout.decode().split()

    def test_bash_completes_commands_options_models_and_files(self):
        tiny = gguf_file.write_model(self.path("tiny-file.gguf"))
        self.malina("import", tiny, "--name", "small-one")
        self.assertEqual(self.complete("verif"), ["verify"])
        self.assertEqual(self.complete("import", "--na"), ["--name"])
        self.assertEqual(self.complete("verify", "sm"), ["small-one"])
        self.assertEqual(self.complete("import", "ti"), ["tiny-file.gguf"])
        self.assertEqual(self.complete("import", "--link", "ti"), ["tiny-file.gguf"])
        self.assertEqual(self.complete("inspect", "--kv", "q"), ["q8_0"])
        self.assertEqual(self.complete("inspect", "--kv", "q8_0", "sm"), ["small-one"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])

    def test_bash_completes_verbs_and_what_follows_them(self):
        gguf_file.write_model(self.path("tiny-file.gguf"))
        self.assertEqual(self.complete("key", "r"), ["rotate", "revoke"])
        self.assertEqual(self.complete("key", "create", "--ten"), ["--tenant"])
        self.assertEqual(self.complete("key", "list", "--ten"), [])
        self.assertEqual(self.complete("audit", "verify", "--database", "ti"), ["tiny-file.gguf"])

    def test_every_command_and_option_is_in_every_script(self):
        commands = commands_page.commands(program.PROGRAM)
        self.assertIn(["key", "create"], commands)
        for shell in ("bash", "zsh", "fish"):
            script = self.output("completion", shell)
            for command in commands:
                self.assertIn(command[-1], script)
                for option in re.findall(r"--([a-z][a-z-]+)", self.output(*command, "--help")):
                    self.assertIn(option, script)
        self.error(USAGE, "completion", "tcsh")


if __name__ == "__main__":
    program.main()
