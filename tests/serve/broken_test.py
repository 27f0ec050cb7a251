"""Requests byte by byte, whole ones and broken ones: the seeds of the fuzz target `http`, whose names begin with the
status that they get. In them {KEY} stands for a key."""

import pathlib

import server

REQUESTS = pathlib.Path(__file__).resolve().parents[2] / "fuzz/corpus/http"


class BrokenTest(server.ServerTest):
    def status(self, text):
        with self.server.socket() as connection:
            connection.sendall(text)
            answer = b""
            while True:
                head, end, rest = answer.partition(b"\r\n\r\n")
                if end and not head.startswith(b"HTTP/1.1 100 "):
                    return head.split(b" ")[1].decode()
                if end:
                    answer = rest
                    continue
                piece = connection.recv(65536)
                if not piece:
                    return "none"
                answer += piece

    def test_each_gets_its_status(self):
        files = sorted(REQUESTS.iterdir())
        self.assertGreater(len(files), 80)
        for file in files:
            with self.subTest(file=file.name):
                text = file.read_bytes().replace(b"{KEY}", self.server.key.encode())
                self.assertEqual(self.status(text), file.name.split("-")[0])
        self.assertEqual(self.server.get("/health").status, 200)
        self.assertNotIn("error  ", self.server.errors())  # what a 500 leaves in the log


if __name__ == "__main__":
    server.main()
