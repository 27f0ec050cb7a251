"""The one door: certificates, proxies, hosts, offline; and that nothing else opens it."""

import ctypes
import os
import platform
import re
import signal
import struct
import subprocess

import gguf_file
import model_server
import program
import pull_program
from program import IO, UNSUPPORTED


class TlsTest(pull_program.PullTest):
    def setUp(self):
        super().setUp()
        certificate, key = pull_program.make_certificate(self.folder, "IP:127.0.0.1")
        self.secure = model_server.Server((certificate, key))
        self.addCleanup(self.secure.close)
        self.url = self.secure.put("/a.gguf", self.model())
        self.trusting = self.environment(SSL_CERT_FILE=certificate, no_proxy="*")

    def test_a_certificate_must_be_known(self):
        self.assertRegex(self.error(IO, "pull", self.url), "certificate.*SSL_CERT_FILE")
        self.assertEqual(self.secure.requests, [])
        self.malina("pull", self.url, environment=self.trusting)
        trusting = self.environment(CURL_CA_BUNDLE=self.trusting["SSL_CERT_FILE"], no_proxy="*")
        self.malina("pull", self.url, environment=trusting)

    def test_it_must_be_of_the_host(self):
        url = self.url.replace("127.0.0.1", "localhost")
        self.error(IO, "pull", url, environment=self.trusting)

    def test_no_way_leads_out_of_encryption(self):
        self.secure.redirect("/b.gguf", self.server.put("/a.gguf", self.model()))
        message = self.error(UNSUPPORTED, "pull", self.secure.url("/b.gguf"), "--allow-host",
                             self.server.host, environment=self.trusting)
        self.assertIn("not https", message)
        self.assertEqual(self.server.requests, [])


class ProxyTest(pull_program.PullTest):
    """Hosts of the world by name: a proxy leads them all to one server on this machine."""

    def setUp(self):
        super().setUp()
        certificate, key = pull_program.make_certificate(
            self.folder, "DNS:hub.test,DNS:*.hub.test,DNS:other.test")
        self.secure = model_server.Server((certificate, key))
        self.addCleanup(self.secure.close)
        self.proxy = model_server.Proxy(self.secure)
        self.addCleanup(self.proxy.close)
        self.certificate = certificate
        self.data = self.model()

    def environment(self, **more):
        return super().environment(**{"https_proxy": self.proxy.url, "SSL_CERT_FILE": self.certificate,
                                      "HF_ENDPOINT": "https://hub.test", "HF_TOKEN": "hf_token", **more})

    def test_a_hub_behind_a_proxy(self):
        model_server.Hub(self.secure, "owner/tiny", {"tiny.gguf": self.data})
        path = f"/owner/tiny/resolve/{'a' * 40}/tiny.gguf"
        self.secure.put("/content?signature=secret", self.data)
        self.secure.redirect(path, "https://cdn-lfs.hub.test/content?signature=secret")
        report = self.json("pull", "hf:owner/tiny")
        self.assertEqual(report["source"], "https://hub.test" + path)
        self.assertEqual({host for host, _ in self.proxy.asked}, {"hub.test:443", "cdn-lfs.hub.test:443"})
        for _, headers in self.proxy.asked:
            self.assertNotIn("Authorization", headers, "the proxy sees no token")
        tokens = [headers.get("Authorization") for _, headers in self.secure.requests]
        self.assertEqual(tokens, ["Bearer hf_token", "Bearer hf_token", None])

    def test_hosts_that_are_not_allowed_are_not_asked(self):
        self.secure.put("/real.gguf", self.data)
        url = "https://hub.test/a.gguf"
        for target in ("https://other.test/real.gguf", "https://nothub.test/real.gguf",
                       "https://hub.test.other.test/real.gguf", "https://hub.test:444/real.gguf",
                       "https://10.0.0.1/real.gguf", "https://[fd00::1]/real.gguf",
                       "https://169.254.169.254/latest/meta-data", "http://hub.test/real.gguf",
                       self.server.put("/real.gguf", self.data)):
            self.secure.redirect("/a.gguf", target)
            self.error(UNSUPPORTED, "pull", url)
        self.assertEqual({host for host, _ in self.proxy.asked}, {"hub.test:443"})
        self.assertEqual(self.server.requests, [])
        self.secure.redirect("/a.gguf", "https://other.test/real.gguf")
        self.malina("pull", url, "--allow-host", "other.test")
        self.assertNotIn("Authorization", self.secure.requests[-1][1])

    def test_a_proxy_that_is_not_there(self):
        environment = self.environment(https_proxy="http://127.0.0.1:1")
        self.error(IO, "pull", "https://hub.test/a.gguf", "--retries", "0", environment=environment)
        self.assertEqual(self.secure.requests, [])

    def test_a_proxy_that_refuses(self):
        self.proxy.refusal = 407
        self.assertIn("407", self.error(IO, "pull", "https://hub.test/a.gguf", "--retries", "0"))
        self.assertEqual(self.secure.requests, [])

    def test_this_machine_itself_is_asked_without_a_proxy(self):
        self.malina("pull", self.server.put("/a.gguf", self.data),
                    environment=self.environment(http_proxy=self.proxy.url))
        self.assertEqual(self.proxy.asked, [])


class OfflineTest(pull_program.PullTest):
    def test_the_door_is_closed(self):
        url = self.server.put("/a.gguf", self.model())
        for value in ("1", "true", "yes", "no"):
            message = self.error(UNSUPPORTED, "pull", url, environment=self.environment(MALINA_OFFLINE=value))
            self.assertIn("MALINA_OFFLINE", message)
            self.assertIn("malina import", message)
        os.makedirs(self.home)
        closed = os.path.join(self.home, "offline")
        with open(closed, "w"):
            pass
        self.assertIn(closed, self.error(UNSUPPORTED, "pull", url))
        self.assertEqual(self.server.requests, [])
        os.remove(closed)
        for value in ("", "0", "false"):
            self.malina("pull", url, environment=self.environment(MALINA_OFFLINE=value))

    def test_without_the_library(self):
        """A file under its name that is none: the program runs, and says what to install."""
        for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
            with open(self.path(name), "wb") as file:
                file.write(b"no library" * 1000)
        environment = self.environment(LD_LIBRARY_PATH=self.folder)
        message = self.error(UNSUPPORTED, "pull", self.server.url("/a.gguf"), environment=environment)
        self.assertIn("apt install libcurl4", message)
        self.malina("info", environment=environment)


class OnlyDoorTest(pull_program.PullTest):
    """No command but pull loads libcurl or makes a socket: the kernel would end it."""

    KILLED = -signal.SIGSYS

    @staticmethod
    def forbid_sockets():
        """A seccomp filter: socket(2) ends the process. False where the kernel cannot."""
        class Program(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
        number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
        allow, kill = 0x7FFF0000, 0x80000000
        # Load the number of the call; if it is socket's, kill; otherwise allow.
        instructions = b"".join(struct.pack("<HBBI", *each) for each in (
            (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, kill), (0x06, 0, 0, allow)))
        buffer = ctypes.create_string_buffer(instructions)
        libc = ctypes.CDLL(None, use_errno=True)
        no_new_privileges, set_seccomp, by_filter = 38, 22, 2
        program_struct = Program(len(instructions) // 8, ctypes.addressof(buffer))
        if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
                set_seccomp, by_filter, ctypes.byref(program_struct), 0, 0):
            raise OSError(ctypes.get_errno(), "seccomp")

    def run_watched(self, *arguments):
        log = self.path("loaded")
        environment = self.environment(LD_DEBUG="files", LD_DEBUG_OUTPUT=log)
        result = subprocess.run([program.PROGRAM, *arguments], capture_output=True, cwd=self.folder,
                                env=environment, input=b"", preexec_fn=self.forbid_sockets, timeout=300)
        loaded = ""
        for name in [name for name in os.listdir(self.folder) if name.startswith("loaded")]:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                loaded += file.read()
            os.remove(self.path(name))
        self.assertIn("libc.so", loaded)
        return result.returncode, "libcurl" in loaded

    def test_it_is_pull(self):
        url = self.server.put("/a.gguf", self.model())
        self.assertEqual(self.run_watched("pull", url), (self.KILLED, True))
        self.assertEqual(self.server.requests, [])

    def test_and_nothing_else(self):
        file = gguf_file.write_model(self.path("tiny.gguf"))
        with open(self.path("text"), "w", encoding="ascii") as text:
            text.write("hello hello")
        calls = [("import", file), ("list",), ("verify", "tiny"), ("inspect", "tiny"), ("families",),
                 ("tokenize", "tiny", "hello"), ("run", "tiny", "hello", "--max-tokens", "2"),
                 ("complete", "tiny", "hello", "--max-tokens", "2"), ("perplexity", "tiny", "text"),
                 ("bench", "tiny", "--prefill", "1", "--decode", "1", "--repetitions", "1"),
                 ("quantize", "tiny", "out.gguf", "--to", "q8_0"), ("info",), ("completion", "bash"),
                 ("remove", "tiny")]
        for call in calls:
            self.assertEqual(self.run_watched(*call), (0, False), call)
        for command in re.findall(r"^  (\w+)  ", self.output("--help"), re.MULTILINE):
            self.assertEqual(self.run_watched(command, "--help"), (0, False), command)


if __name__ == "__main__":
    program.main()
