"""What the tests of `malina pull` share: the program, a server, a model to serve."""

import hashlib
import os
import subprocess

import gguf_file
import model_server
import program


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def make_certificate(folder, names):
    """Paths of a certificate for `names` ("IP:127.0.0.1") that is its own authority, and of its key."""
    certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=malina test", "-addext", f"subjectAltName={names}", "-keyout", key, "-out",
                    certificate], capture_output=True, check=True)
    return certificate, key


class PullTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.server = model_server.Server()
        self.addCleanup(self.server.close)

    def environment(self, **more):
        return super().environment(**{"http_proxy": "http://127.0.0.1:1", **more})

    def model(self, hidden=32, **options):
        with open(gguf_file.write_model(self.path("served.gguf"), hidden=hidden, **options), "rb") as file:
            data = file.read()
        os.remove(self.path("served.gguf"))
        return data

    def downloads(self):
        """The files under downloads/, without the locks."""
        found = []
        for folder, _, files in os.walk(os.path.join(self.home, "downloads")):
            found += [os.path.join(folder, file) for file in files if file != "lock"]
        return sorted(found)

    def part(self):
        return [file for file in self.downloads() if file.endswith(".part")][0]

    def assert_nothing_left(self):
        super().assert_nothing_left()
        self.assertEqual(self.downloads(), [])
