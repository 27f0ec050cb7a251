"""What the process takes at most: memory, descriptors. Not under the sanitizers, whose own memory counts as the
program's, and who look at memory through descriptors of their own."""

import json
import os
import re
import resource
import threading
import time

import server
import gguf_file  # found by server
from server import BOUNDARY, form

MIB = 1 << 20


class MemoryTest(server.LongTest):
    """The rule: the most that the process ever had (VmHWM) is within --memory and what it had before its first model:
    the program itself, its libraries, its database, its threads."""

    MEMORY, BODIES = 64 * MIB, 8 * MIB

    def resident(self, running, name):
        with open(f"/proc/{running.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{name}:\s+(\d+) kB$", file.read(), re.MULTILINE)[1]) * 1024

    def test_all_that_is_done_stays_within_memory(self):
        for name in ("big", "large"):
            path = gguf_file.write_model(os.path.join(self.shared, name + ".gguf"), layers=2, hidden=12000, name=name)
            self.run_program("import", path, "--name", name)
        running = self.start_instead("--memory", str(self.MEMORY), "--max-bodies", str(self.BODIES), "--kv-type", "f32")
        self.assertEqual(running.get("/v1/models").status, 200)
        before = self.resident(running, "VmRSS")
        statuses = []

        def ask(number):
            """Prompts that have nothing in common, so that each has its own pages; each model has its turn."""
            for turn in range(2):
                prompt = [70 + (number * 31 + turn * 17 + i * (number + 1)) % 150 for i in range(1500)]
                answer = running.post("/v1/completions", {"model": "tiny", "prompt": prompt, "max_tokens": 40, "n": 2,
                                                          "seed": number, "logit_bias": {"0": -100, "2": -100}})
                statuses.append(answer.status)
                if number % 6 == 0:
                    running.post("/v1/completions", {"model": ("big", "large")[turn % 2], "prompt": "x",
                                                     "max_tokens": 4})
                body = json.dumps({"model": "tiny", "prompt": "hello " * 200_000})
                self.assertIn(running.post("/v1/tokenize", body).status, (200, 400, 503))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = self.resident(running, "VmHWM") - before
        self.assertGreater(statuses.count(200), 12)
        self.assertGreater(taken, self.MEMORY // 3)  # it was of weight
        self.assertLessEqual(taken, self.MEMORY)

    def test_a_large_file_is_not_in_memory(self):
        running = self.start_instead("--max-file", "256MiB")
        running.upload("x")
        before = running.resident_bytes()
        highest = [before]
        size = 150 << 20
        head = form(("purpose", None, "fine-tune"), ("file", "a.csv", ""))
        start, end = head.split(b"\r\n\r\n\r\n")
        connection = running.connect()
        connection.putrequest("POST", "/v1/files")
        for name, value in {**running.headers(), "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                            "Content-Length": str(len(head) + size)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(start + b"\r\n\r\n")
        for _ in range(150):
            connection.send(b"x" * (1 << 20))
            highest.append(running.resident_bytes())
        connection.send(b"\r\n" + end)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        self.assertEqual(answer["bytes"], size)
        self.assertLess(max(highest) - before, 40 << 20)
        running.request("DELETE", f"/v1/files/{answer['id']}")

    def test_who_waits_for_a_connection_does_not_fill_the_log(self):
        """With no descriptor left the system tells of the same waiting client again and again."""
        self.server.get("/health")
        pid = self.server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        said = lambda: self.server.errors().count("connections cannot be taken")
        held = []
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.server.descriptors() + 3, before[1]))
            held = [self.server.socket() for _ in range(8)]
            end = time.monotonic() + server.SECONDS
            while said() == 0:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.05)
            time.sleep(1)
            self.assertEqual(said(), 1)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            for connection in held:
                connection.close()
        self.assertEqual(self.server.get("/health").status, 200)


if __name__ == "__main__":
    server.main()
