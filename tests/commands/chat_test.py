"""A conversation at a terminal: the line editor, the history, Ctrl-C and SIGTERM."""

import os
import pty
import select
import signal
import subprocess
import termios
import time

import gguf_file
import program

CTRL_C, CTRL_D, UP = b"\x03", b"\x04", b"\x1b[A"
PROMPT, ANSWER = b">>> ", b"!!!!\r\n"
SECONDS = 30


class ChatTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        # All weights are zero and one token is preferred, so that every answer is "!!!...", for as long
        # as it may be. 77 MB of feed-forward weights, a hole in the file, make it slow.
        self.model = gguf_file.write_model(self.path("slow.gguf"), hidden=100_000, context=8192)

    def start(self, max_tokens, bias=100):
        self.output = b""
        self.controller, terminal = pty.openpty()
        self.addCleanup(os.close, self.controller)
        self.process = subprocess.Popen(
            [program.PROGRAM, "run", self.model, "--max-tokens", str(max_tokens), "--temperature", "0",
             "--logit-bias", f"{gguf_file.tokenizer_metadata()[0].index('!')}={bias}"],
            stdin=terminal, stdout=terminal, stderr=terminal, cwd=self.folder, start_new_session=True,
            env=self.environment(TERM="xterm"), preexec_fn=self.control_terminal)
        os.close(terminal)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)

    @staticmethod
    def control_terminal():
        """Makes standard input the terminal whose Ctrl-C this process gets."""
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    def type(self, data):
        os.write(self.controller, data)

    def at_prompt(self, data):
        """Types once the line editor reads, a moment after its prompt is there: before that, the
        terminal itself would take Ctrl-D for the end of its input."""
        self.await_output(PROMPT)
        end = time.monotonic() + SECONDS
        while termios.tcgetattr(self.controller)[3] & termios.ICANON:
            self.assertLess(time.monotonic(), end, "the line editor does not read")
            time.sleep(0.001)
        self.type(data)

    def read(self, seconds):
        """More output, b"" where there was none for so long, None at its end."""
        if not select.select([self.controller], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.controller, 65536)
        except OSError:  # the other side is closed
            return None

    def await_output(self, expected):
        """Reads until `expected` has come; returns what came before it and forgets both."""
        end = time.monotonic() + SECONDS
        while expected not in self.output:
            piece = self.read(max(0, end - time.monotonic()))
            if not piece:
                self.fail(f"{expected} did not come after {self.output[-1000:]}")
            self.output += piece
        before, _, self.output = self.output.partition(expected)
        return before

    def await_end(self):
        """(exit code, the rest of the output)."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and (piece := self.read(1)) is not None:
            self.output += piece
        return self.process.wait(SECONDS), self.output

    def history(self):
        with open(os.path.join(self.home, "history"), encoding="utf-8") as file:
            # As libedit writes it: a headline, and "\040" for a space.
            return file.read().replace("\\040", " ").splitlines()[1:]

    def leave(self):
        self.at_prompt(CTRL_D)
        self.assertEqual(self.await_end()[0], 0)

    def test_a_question_is_answered_and_remembered(self):
        self.start(max_tokens=4)
        self.at_prompt("Grüße aus 東京?\n".encode())
        self.assertIn("Grüße aus 東京?".encode(), self.await_output(ANSWER), "its echo")
        self.leave()
        self.assertEqual(self.history(), ["Grüße aus 東京?"])
        self.assertEqual(os.stat(os.path.join(self.home, "history")).st_mode & 0o777, 0o600)
        self.start(max_tokens=4)
        self.at_prompt(UP + b"\n")
        self.assertIn("Grüße aus 東京?".encode(), self.await_output(ANSWER), "from the history")
        self.leave()

    def test_a_temperature_that_is_none_leaves_the_one_that_was(self):
        self.start(max_tokens=8, bias=1)  # "!" is the likeliest by little: at 0 it comes each time
        self.at_prompt(b"/temperature 2\n")
        self.at_prompt(b"/temperature warm\n")
        self.await_output(b"'warm' is not a number")
        self.at_prompt(b"/temperature 9\n")
        self.await_output(b"9 is not from 0 to 2")
        self.at_prompt(b"/seed 1\n")
        self.at_prompt(b"hello\n")
        self.await_output(b"hello\r\n")
        self.assertNotIn(b"!!!!", self.await_output(b"\r\n\r\n"))
        self.leave()

    def test_ctrl_c_at_the_prompt_clears_the_line(self):
        self.start(max_tokens=4)
        self.at_prompt(b"not this")
        self.await_output(b"not this")
        self.type(CTRL_C)
        self.at_prompt(CTRL_C)  # a second one is no more than the first
        self.await_output(PROMPT)
        time.sleep(1.5)  # nor does anything come later
        self.type(b"but this\n")
        self.await_output(ANSWER)
        self.leave()
        self.assertEqual(self.history(), ["but this"])

    def test_ctrl_c_drops_a_text_of_several_lines(self):
        self.start(max_tokens=4)
        self.at_prompt(b'"""not this\n')
        self.await_output(b"... ")
        self.type(CTRL_C)
        self.at_prompt(b'"""one\n')
        self.await_output(b"... ")
        self.type(b'two"""\n')
        self.await_output(ANSWER)
        self.leave()

    def test_ctrl_c_during_an_answer_stops_the_answer(self):
        self.start(max_tokens=0)
        for question in (b"first\n", b"second\n"):
            self.at_prompt(question)
            self.await_output(b"!!!")
            self.type(CTRL_C)
        self.leave()
        self.assertEqual(self.history(), ["first", "second"])

    def assert_terminated(self):
        self.process.send_signal(signal.SIGTERM)
        code, output = self.await_end()
        self.assertEqual(code, program.CANCELLED, output)
        self.assertTrue(output.endswith(b"\r\nmalina: stopped on request\r\n"), output[-1000:])
        self.assertNotIn(PROMPT, output)
        self.assertEqual(self.history(), ["hello"])

    def test_sigterm_at_the_prompt_ends_the_program_in_order(self):
        self.start(max_tokens=4)
        self.at_prompt(b"hello\n")
        self.await_output(ANSWER)
        self.at_prompt(b"half a li")
        self.await_output(b"half a li")
        self.assert_terminated()

    def test_sigterm_during_an_answer_ends_the_program_in_order(self):
        self.start(max_tokens=0)
        self.at_prompt(b"hello\n")
        self.await_output(b"!!!")
        self.assert_terminated()


if __name__ == "__main__":
    program.main()
