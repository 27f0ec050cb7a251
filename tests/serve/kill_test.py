"""kill -9 of a server at 100 random instants while clients ask: what they were told stands in the audit afterwards."""

import http.client
import json
import random
import signal
import threading
import time

import server

KILLS = 100
CLIENTS = 4
LONGEST = 0.15  # seconds of work before the end


class Client(threading.Thread):
    """Asks until the server is gone. What it was told of a request: its header has come; it is whole."""

    def __init__(self, running, name, seed):
        super().__init__()
        self.running, self.name, self.generator = running, name, random.Random(seed)
        self.begun, self.ended, self.refused = set(), set(), ""

    def run(self):
        number = 0
        connection = self.running.connect()
        try:
            while not self.refused:
                number += 1
                self.ask(connection, f"{self.name}-{number}")
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def ask(self, connection, identity):
        stream = self.generator.random() < 0.5
        body = {"model": "tiny", "prompt": "hello", "max_tokens": self.generator.randrange(1, 30), "stream": stream,
                "logit_bias": {"2": -100}}
        connection.request("POST", "/v1/completions", json.dumps(body),
                           self.running.headers(**{"X-Request-Id": identity}))
        answer = connection.getresponse()
        if answer.status != 200:
            self.refused = f"{answer.status}: {answer.read()}"
            return
        self.begun.add(identity)
        text = answer.read()  # throws where it was cut
        if not stream or text.endswith(b"data: [DONE]\n\n"):
            self.ended.add(identity)


class KillTest(server.ServerTest):
    def kill_one(self, number, generator):
        running = self.start()
        clients = [Client(running, f"r{number}-{i}", generator.random()) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        end = time.monotonic() + server.SECONDS
        while generator.random() < 0.8 and not any(client.begun for client in clients):
            self.assertLess(time.monotonic(), end, running.errors())
            time.sleep(0.001)
        time.sleep(generator.random() * LONGEST)
        running.stop(signal.SIGKILL)
        for client in clients:
            client.join()
            self.assertEqual(client.refused, "")
        running.close()
        return (set().union(*(client.begun for client in clients)),
                set().union(*(client.ended for client in clients)))

    def check(self, begun, ended):
        self.run_program("audit", "verify")
        outcomes = {}
        for line in self.run_program("audit", "tail", "-n", "1000000", "--json").splitlines():
            record = json.loads(line)["record"]
            outcomes.setdefault(record["request"], set()).add(record["outcome"])
        self.assertEqual({identity for identity in begun if "intent" not in outcomes.get(identity, ())}, set())
        self.assertEqual({identity for identity in ended if "done" not in outcomes.get(identity, ())}, set())

    def test_nothing_that_a_client_was_told_is_lost(self):
        self.server.stop()
        generator = random.Random(1)
        begun, ended = set(), set()
        for number in range(KILLS):
            told = self.kill_one(number, generator)
            begun |= told[0]
            ended |= told[1]
            if number % 10 == 9 or number + 1 == KILLS:
                self.check(begun, ended)
        self.assertGreater(len(ended), KILLS)
        self.assertGreater(len(begun), len(ended))  # some were cut in the middle


if __name__ == "__main__":
    server.main()
