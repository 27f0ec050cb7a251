#!/usr/bin/env python3
"""Tests of compare_llama_cpp without llama.cpp: run it as it stands."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import socket
import stat
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import compare_llama_cpp_peer as peer  # pylint: disable=wrong-import-position

_loader = importlib.machinery.SourceFileLoader("compare", str(HERE / "compare_llama_cpp"))
compare = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", _loader))
_loader.exec_module(compare)

VNNI_MACHINE = {"instructions": ["avx2", "avx512_vnni"]}


def program(folder, name, text):
    path = pathlib.Path(folder) / name
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class OurOutput(unittest.TestCase):
    def test_gives_the_median_of_each_case(self):
        text = """{"results": [{"test": "decode", "tokens": 128, "depth": 2048, "batch": 16,
                   "threads": 2, "tokens_per_second": {"median": 10.5, "min": 9, "max": 12}}]}"""
        self.assertEqual(compare.parse_ours(text), {("decode", 128, 2048, 16, 2): 10.5})

    def test_needs_neither_depth_nor_batch_nor_spread(self):
        text = """{"results": [{"test": "prefill", "tokens": 512, "threads": 1,
                   "tokens_per_second": 7}]}"""
        self.assertEqual(compare.parse_ours(text), {("prefill", 512, 0, 1, 1): 7.0})

    def test_of_another_shape_is_refused(self):
        for text in ("", "[]", "{}", '{"results": [{}]}', '{"results": 3}'):
            with self.assertRaises(peer.Failure, msg=text):
                compare.parse_ours(text)


class Run(unittest.TestCase):
    """Both sides as small programs that keep a record of their turns."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.record = pathlib.Path(folder.name) / "record"
        program(folder.name, "llama-bench", f"""
import json, sys
open({str(self.record)!r}, "a").write("L")
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
prompt, answer, depth = (int(given[name]) for name in ("-p", "-n", "-d"))
rows = [(prompt, 0)] * (prompt > 0) + [(0, answer)] * (answer > 0)
print(json.dumps([dict(n_prompt=p, n_gen=n, n_depth=depth, avg_ts=100.0) for p, n in rows]))
""")
        malina = program(folder.name, "malina", f"""
import json, sys
open({str(self.record)!r}, "a").write("M")
turn = open({str(self.record)!r}).read().count("M")
given = dict(zip(sys.argv[4::2], sys.argv[5::2]))
shape = dict(depth=int(given["--depth"]), batch=int(given["--batch"]),
             threads=int(given["--threads"]), tokens_per_second=dict(median=100.0 * turn))
print(json.dumps({{"results": [dict(test=test, tokens=int(given["--" + test]), **shape)
                              for test in ("prefill", "decode") if given["--" + test] != "0"]}}))
""")
        self.programs = pathlib.Path(folder.name)
        self.options = compare.parse_arguments(["model", "--repetitions", "3", "--threads", "2"])
        self.options.batch, self.options.malina = [], malina
        self.options.model_sha256 = compare.REFERENCE_SHA256

    def measure(self):
        with contextlib.redirect_stderr(io.StringIO()):
            return compare.measure(self.options, self.programs)

    def test_takes_turns(self):
        self.measure()
        self.assertEqual(self.record.read_text(encoding="utf-8"), "LM" * 6)

    def test_compares_pair_by_pair(self):
        speeds = self.measure()
        whole = compare.report(speeds, self.options, VNNI_MACHINE, "peer")
        prefill, decode, deep = whole["results"]
        self.assertEqual(prefill["ratio"]["runs"], [1.0, 3.0, 5.0])
        self.assertEqual(prefill["ratio"]["median"], 3.0)
        self.assertEqual((prefill["must"], prefill["met"]), (3.0, True))
        self.assertEqual((decode["must"], decode["goal"]), (1.5, 2.2))
        self.assertEqual(deep["ratio"]["runs"], [2.0, 4.0, 6.0])
        self.assertIn("prefill 512, 2 threads", compare.table(whole))

    def test_shows_a_missed_bound(self):
        self.options.isa = "avx2"
        case = ("decode", 128, 0, 1, 2)
        whole = compare.report({case: {"llama.cpp": [10.0, 10.0], "malina": [9.0, 9.5]}},
                               self.options, VNNI_MACHINE, "peer")
        self.assertFalse(whole["results"][0]["met"])
        self.assertIn("1.0 MISSED", compare.table(whole))

    def test_bounds_another_model_in_nothing(self):
        self.options.model_sha256 = "other"
        self.assertEqual(compare.bounds(("decode", 128, 0, 1, 2), self.options, VNNI_MACHINE),
                         (None, None))

    def test_names_what_failed(self):
        program(self.programs, "malina", "import sys; sys.exit('malina: no such option')")
        with self.assertRaisesRegex(peer.Failure, "malina.*code 1: malina: no such option"):
            self.measure()


class Server(unittest.TestCase):
    SOURCE = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *_): pass
    def do_GET(self): self.reply({})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        count = asked["n_predict"]
        self.reply([dict(timings=dict(predicted_n=count, predicted_ms=1000.0 + index))
                    for index, _ in enumerate(asked["prompt"])])
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
http.server.HTTPServer((given["--host"], int(given["--port"])), Handler).serve_forever()
"""

    def test_counts_the_steps_of_the_slowest_slot(self):
        with tempfile.TemporaryDirectory() as folder:
            program(folder, "llama-server", self.SOURCE)
            found = peer.measure_batch(pathlib.Path(folder), "model", 129, 4, 2,
                                       pathlib.Path(folder) / "log")
        self.assertEqual(found, {("decode", 129, 0, 4, 2): 4 * 128 / 1.003})

    def test_is_stopped(self):
        with tempfile.TemporaryDirectory() as folder:
            program(folder, "llama-server", self.SOURCE)
            with peer.running_server(pathlib.Path(folder), "model", 1, 256, 1,
                                     pathlib.Path(folder) / "log") as address:
                port = int(address.rpartition(":")[2])
            with socket.socket() as client, self.assertRaises(ConnectionRefusedError):
                client.connect(("127.0.0.1", port))

    def test_that_does_not_come_up_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            program(folder, "llama-server", "raise SystemExit(1)")
            with self.assertRaisesRegex(peer.Failure, "did not come up"):
                peer.measure_batch(pathlib.Path(folder), "model", 4, 2, 1,
                                   pathlib.Path(folder) / "log")


class Source(unittest.TestCase):
    def test_with_another_digest_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / f"llama_cpp_python-{peer.VERSION}.tar.gz").write_bytes(b"x")
            with self.assertRaisesRegex(peer.Failure, "SHA-256"):
                peer.fetch_source(pathlib.Path(folder))


if __name__ == "__main__":
    unittest.main()
