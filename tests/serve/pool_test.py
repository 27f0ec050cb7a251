"""Models that come and go: what a request is told meanwhile, and who makes room for whom."""

import os
import re
import threading

import server
import gguf_file  # found by server

MIB = 1 << 20


class PoolTest(server.ServerTest):
    MODELS = ("first", "second")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for seed, name in enumerate(cls.MODELS):
            # Each with its own weights: an answer tells which model gave it.
            path = gguf_file.write_model(os.path.join(cls.shared, name + ".gguf"), layers=2, hidden=4000,
                                         context=cls.context, values=server.normal(seed), name=name)
            cls.run_program("import", path, "--name", name)

    def ask(self, running, model, **fields):
        return running.post("/v1/completions", {"model": model, "prompt": "hello", "temperature": 0, "max_tokens": 8,
                                                **fields})

    def text(self, running, model):
        answer = self.ask(running, model)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["choices"][0]["text"]

    def sizes(self, running):
        return {each["name"].split(":")[0]: each["size"] for each in running.get("/api/ps").json()["models"]}

    def test_who_does_not_wait_is_told_that_the_model_is_loading(self):
        big = gguf_file.write_model(os.path.join(self.shared, "big.gguf"), layers=4, hidden=100_000, name="big")
        self.run_program("import", big, "--name", "big")
        running = self.start_instead("--load-wait", "0s")
        answer = self.ask(running, "big")
        self.assert_error(answer, 503, "loading", "model")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertIsNone(answer.headers["x-should-retry"])

        def told():
            answer = self.ask(running, "big")
            if answer.status != 200:
                self.assert_error(answer, 503, "loading", "model")
            return answer.status == 200

        self.wait_for(told)  # it is loaded though nobody waited
        records = [each for each in self.audit(50) if each["model"] == "big"]
        self.assertEqual({each["outcome"] for each in records}, {"intent", "done"})  # of the one that was answered
        self.assertEqual(len(records), 2)

    def test_two_that_do_not_fit_together_take_turns(self):
        alone = {name: self.text(self.server, name) for name in self.MODELS}
        self.assertEqual(len(set(alone.values())), 2)
        both = self.sizes(self.server)
        self.assertGreaterEqual(set(both), set(self.MODELS))
        self.start_instead().stop()
        small = self.start("--memory", "3MiB", "--max-bodies", "1MiB")
        refused = self.ask(small, "first")
        self.assert_error(refused, 503, "out_of_memory")
        small.stop()
        least = (int(re.search(rb"first needs (\d+) MiB", refused.body)[1]) + 1) * MIB
        room = least * 3 // 2
        running = self.start("--memory", str(room + MIB), "--max-bodies", "1MiB")
        for turn in range(6):
            name = self.MODELS[turn % 2]
            self.assertEqual(self.text(running, name), alone[name])
            there = self.sizes(running)
            self.assertEqual(set(there), {name})
            self.assertLessEqual(sum(there.values()), room)

        answers = {name: [] for name in self.MODELS}  # and where both are asked for at once

        def keep_asking(name):
            for _ in range(5):
                answers[name].append(self.ask(running, name))

        threads = [threading.Thread(target=keep_asking, args=(name,)) for name in self.MODELS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, each in answers.items():
            self.assertEqual([answer.status for answer in each], [200] * 5)
            self.assertEqual({answer.json()["choices"][0]["text"] for answer in each}, {alone[name]})
        running.stop()

    def test_what_a_model_can_take_does_not_depend_on_who_stands_idle(self):
        """Idle models make room for the context of one that is asked, not for a part of it alone."""
        path = gguf_file.write_model(os.path.join(self.shared, "long.gguf"), layers=8, context=16384,
                                     values=server.normal(3), name="long")
        self.run_program("import", path, "--name", "long")
        for name in ("idle", "idler"):
            path = gguf_file.write_model(os.path.join(self.shared, name + ".gguf"), layers=2, hidden=20000, name=name)
            self.run_program("import", path, "--name", name)
        running = self.start_instead("--memory", "128MiB", "--max-bodies", "4MiB")
        ask = lambda model, tokens: running.post("/v1/completions", {"model": model, "prompt": [70] * tokens, "max_tokens": 1})
        self.assertEqual([ask(name, 1).status for name in ("idle", "idler")], [200, 200])
        answer = ask("long", 6000)
        self.assertEqual(answer.status, 200, answer.body)


if __name__ == "__main__":
    server.main()
