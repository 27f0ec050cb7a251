"""The service's units and the Debian package: packaging_test.py PROGRAM BUILD_FOLDER.

Nothing is installed on this machine: the package is built, looked into and unpacked in a temporary
folder."""

import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands"))
import gguf_file

BUILD = os.path.abspath(sys.argv.pop(2))
PROGRAM = os.path.abspath(sys.argv.pop(1))
PACKAGING = os.path.abspath(os.path.join(os.path.dirname(__file__), "../packaging"))
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
               "MALINA_CONFIG": "/dev/null"}


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT, **options)


class UnitTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="malina_units_")
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("malina.socket", "malina.service", "malina-connector.service"):
            with open(os.path.join(PACKAGING, "systemd", name), encoding="utf-8") as unit:
                text = unit.read()
            with open(self.unit(name), "w", encoding="utf-8") as copy:
                copy.write(text.replace("ExecStart=/usr/bin/malina", "ExecStart=" + PROGRAM))

    def unit(self, name):
        return os.path.join(self.folder, name)

    def exposure(self, unit):
        result = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
        self.assertTrue(found, result.stdout + result.stderr)
        return float(found.group(1))

    def test_the_service_is_closed(self):
        """The scale goes to 10; a service that says nothing has 9.6."""
        self.assertLessEqual(self.exposure(self.unit("malina.service")), 1.0)

    def test_the_connector_has_the_network_and_nothing_else(self):
        self.assertLessEqual(self.exposure(self.unit("malina-connector.service")), 2.0)

    def test_the_measure_tells_open_from_closed(self):
        with open(self.unit("malina.service"), encoding="utf-8") as unit:
            text = unit.read()
        with open(self.unit("malina.service"), "w", encoding="utf-8") as unit:
            unit.write(re.sub(r"(?m)^(PrivateNetwork|CapabilityBoundingSet|SystemCallFilter)=.*\n", "", text))
        self.assertGreater(self.exposure(self.unit("malina.service")), 1.0)

    def test_systemd_finds_nothing_wrong(self):
        result = run("systemd-analyze", "verify", "--man=no", self.unit("malina.socket"),
                     self.unit("malina.service"), self.unit("malina-connector.service"))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_nobody_else_is_let_in(self):
        with open(self.unit("malina.socket"), encoding="utf-8") as unit:
            text = unit.read()
        self.assertEqual(re.findall(r"(?m)^Listen\w+=(.*)", text), ["127.0.0.1:8080"])
        self.assertIn("IPAddressDeny=any\nIPAddressAllow=localhost\n", text)


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="malina_package_")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        result = run("cpack", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", cls.folder, cwd=BUILD)
        assert result.returncode == 0, result.stdout + result.stderr
        cls.package, = glob.glob(os.path.join(cls.folder, "malina_*.deb"))
        cls.root = os.path.join(cls.folder, "root")
        subprocess.run(["dpkg-deb", "-R", cls.package, cls.root], check=True)

    def path(self, name):
        return os.path.join(self.root, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def test_the_program_runs(self):
        result = run(self.path("usr/bin/malina"), "--version")
        self.assertEqual(result.stdout, run(PROGRAM, "--version").stdout)

    def test_the_program_serves(self):
        """As the service starts it, with the configuration of the package; the port is the test's."""
        home = os.path.join(self.folder, "home")
        environment = {**ENVIRONMENT, "MALINA_HOME": home, "MALINA_PORT": "0", "MALINA_OFFLINE": "1"}
        model = gguf_file.write_model(os.path.join(self.folder, "tiny.gguf"))
        subprocess.run([self.path("usr/bin/malina"), "import", model, "--name", "tiny"], env=environment,
                       check=True, capture_output=True, timeout=60)
        with open(self.unit("malina.service"), encoding="utf-8") as unit:
            command = re.search(r"(?m)^ExecStart=/(\S+) (.*)$", unit.read())
        arguments = [self.path(each[1:]) if each.startswith("/etc/") else each for each in command[2].split()]
        server = subprocess.Popen([self.path(command[1]), *arguments], env=environment, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        url = None
        while url is None:
            line = server.stdout.readline()
            self.assertTrue(line, "the server ended")
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
        with open(os.path.join(home, "admin.key"), encoding="ascii") as file:
            key = file.read().strip()
        request = urllib.request.Request(
            url[0] + "/v1/completions", json.dumps({"model": "tiny", "prompt": "hello", "max_tokens": 3}).encode(),
            {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
        directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with directly.open(request, timeout=60) as answer:
            self.assertEqual(json.load(answer)["model"], "tiny")
        server.terminate()
        self.assertEqual(server.wait(60), 0)

    def unit(self, name):
        return self.path(os.path.join("lib/systemd/system", name))

    def test_what_is_in_it(self):
        for name in ("lib/systemd/system/malina.socket", "lib/systemd/system/malina.service",
                     "lib/systemd/system/malina-connector.service",
                     "usr/share/doc/malina/copyright", "usr/share/doc/malina/LICENSE",
                     "usr/share/doc/malina/README.md", "usr/share/doc/malina/how-to/install.md",
                     "usr/share/doc/malina/reference/configuration.md"):
            self.assertTrue(os.path.isfile(self.path(name)), name)
        listing = run("dpkg-deb", "-c", self.package).stdout.splitlines()
        for line in listing:
            self.assertRegex(line, r"^[-dl]\S+ root/root ", "everything is root's")
            self.assertNotRegex(line, r"^.{5}w|^.{8}w|^.{3}s", "nobody else may write, nothing runs as root")

    def test_control(self):
        control = self.read("DEBIAN/control")
        version = run(PROGRAM, "--version").stdout.split()[1]
        self.assertRegex(control, rf"(?m)^Version: {re.escape(version)}")
        self.assertRegex(control, r"(?m)^Depends: .*libc6 \(>= 2\.\d+\)")
        self.assertRegex(control, r"(?m)^Depends: .*libsqlite3-0")
        self.assertNotRegex(control, r"(?m)^Depends: .*curl")
        self.assertEqual(self.read("DEBIAN/conffiles"), "/etc/malina/malina.toml\n")
        for script in ("postinst", "prerm", "postrm"):
            self.assertEqual(run("sh", "-n", self.path("DEBIAN/" + script)).returncode, 0)
            self.assertEqual(os.stat(self.path("DEBIAN/" + script)).st_mode & 0o777, 0o755)

    def script(self, name, *arguments, **has):
        """Runs a maintainer's script with the system's commands replaced by ones that write what they
        were called with, and its folders by ones of the test's own. Returns these lines."""
        folder = tempfile.mkdtemp(prefix="malina_script_", dir=self.folder)
        log = os.path.join(folder, "log")
        os.mkdir(os.path.join(folder, "bin"))
        for command in ("getent", "useradd", "userdel", "install", "systemctl"):
            fake = os.path.join(folder, "bin", command)
            with open(fake, "w", encoding="utf-8") as file:
                code = 0 if command != "getent" or has.get("user") else 2
                file.write(f'#!/bin/sh\n[ {command} = getent ] || echo "{command} $*" >> {log}\nexit {code}\n')
            os.chmod(fake, 0o755)
        text = self.read("DEBIAN/" + name)
        for path in ("/run/systemd/system", "/var/lib/malina", "/etc/malina"):
            text = text.replace(path, folder + path)
        for path in has.get("paths", ()):
            os.makedirs(folder + path)
        result = subprocess.run(["sh", "-c", text, name, *arguments], capture_output=True, text=True, timeout=60,
                                env={"PATH": os.path.join(folder, "bin") + ":/usr/bin:/bin"})
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = []
        if os.path.exists(log):
            with open(log, encoding="utf-8") as file:
                lines = [line.replace(folder, "") for line in file.read().splitlines()]
        return lines, result.stderr, [path for path in has.get("paths", ()) if os.path.exists(folder + path)]

    def test_installing_makes_the_user_and_the_store_once(self):
        lines, _, _ = self.script("postinst", "configure", "")
        self.assertEqual([line.split()[0] for line in lines], ["useradd", "install"])
        self.assertIn("-m 0700 /var/lib/malina", lines[1])
        self.assertEqual(self.script("postinst", "configure", "0.1.0", user=True, paths=["/var/lib/malina"])[0], [])

    def test_an_upgrade_restarts_and_a_first_install_starts_nothing(self):
        system = {"user": True, "paths": ["/run/systemd/system", "/var/lib/malina"]}
        self.assertEqual(self.script("postinst", "configure", "", **system)[0], ["systemctl daemon-reload"])
        self.assertEqual(self.script("postinst", "configure", "0.1.0", **system)[0],
                         ["systemctl daemon-reload", "systemctl try-restart malina.service malina-connector.service"])
        self.assertEqual(self.script("prerm", "upgrade", **system)[0], [])
        self.assertEqual(len(self.script("prerm", "remove", **system)[0]), 2)

    def test_models_and_keys_outlive_the_package(self):
        lines, said, left = self.script("postrm", "purge", user=True,
                                        paths=["/var/lib/malina/models", "/etc/malina"])
        self.assertEqual((lines, left), ([], ["/var/lib/malina/models"]))
        self.assertIn("is kept", said)
        self.assertEqual(self.script("postrm", "purge", user=True, paths=["/var/lib/malina"])[0],
                         ["userdel malina"])

    def test_the_configuration_is_the_sample_and_reads(self):
        sample = run(PROGRAM, "config", "init").stdout
        self.assertEqual(self.read("etc/malina/malina.toml"), sample)
        self.assertEqual(self.read("usr/share/doc/malina/malina.toml.example"), sample)
        result = run(self.path("usr/bin/malina"), "config", "show", "--config",
                     self.path("etc/malina/malina.toml"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_completions_are_the_programs(self):
        for shell, name in (("bash", "usr/share/bash-completion/completions/malina"),
                            ("zsh", "usr/share/zsh/vendor-completions/_malina"),
                            ("fish", "usr/share/fish/vendor_completions.d/malina.fish")):
            self.assertEqual(self.read(name), run(PROGRAM, "completion", shell).stdout)

    def test_the_manual_page_has_every_command(self):
        with gzip.open(self.path("usr/share/man/man1/malina.1.gz"), "rt", encoding="utf-8") as file:
            page = file.read()
        commands = re.findall(r"^  (\w+)  ", run(PROGRAM, "--help").stdout, re.MULTILINE)
        self.assertGreater(len(commands), 10)
        for command in commands:
            self.assertIn(f".SH MALINA {command.upper()}\n", page)
        self.assertIn(".SH MALINA CONFIG SHOW\n", page)
        # A line that begins with a dot or a quote would be a request to the formatter.
        inside = False
        for line in page.splitlines():
            if inside and line != ".fi":
                self.assertNotRegex(line, r"^[.']")
            inside = line == ".nf" or (inside and line != ".fi")


if __name__ == "__main__":
    unittest.main(verbosity=1)
