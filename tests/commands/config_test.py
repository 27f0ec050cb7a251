"""malina config: values and their origins; the file's part in every command."""

import os
import subprocess

import configuration_page
import program
from program import EXISTS, NOT_FOUND, UNSUPPORTED, USAGE


class ConfigTest(program.ProgramTest):
    def write(self, text, name="malina.toml"):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def settings(self, *arguments, **environment):
        report = self.json("config", "show", *arguments, environment=self.environment(**environment))
        return {setting["name"]: setting for setting in report["settings"]}

    def test_each_value_has_its_origin(self):
        file = self.write('offline = true\n\n[serve]\nport = 1\ndrain = "1m30s"\nmodels = ["a"]\n')
        settings = self.settings("--config", file, "--port", "9000", "--exact", "--allowed-hosts", "x.org",
                                 "--allowed-hosts", "y.org,z.org", MALINA_KEEP_ALIVE="1h", MALINA_MODELS="b,c")
        def seen(name):
            return [settings[name][key] for key in ("value", "text", "origin", "where")]
        self.assertEqual(seen("offline"), [True, "true", "file", file + ":1"])
        self.assertEqual(seen("serve.port"), [9000, "9000", "option", "--port"])
        self.assertEqual(seen("serve.drain"), [90, "1m30s", "file", file + ":5"])
        self.assertEqual(seen("serve.keep_alive"), [3600, "1h", "environment", "MALINA_KEEP_ALIVE"])
        self.assertEqual(seen("serve.models"), [["b", "c"], "b,c", "environment", "MALINA_MODELS"])
        self.assertEqual(seen("serve.allowed_hosts"),
                         [["x.org", "y.org", "z.org"], "x.org,y.org,z.org", "option", "--allowed-hosts"])
        self.assertEqual(seen("serve.exact"), [True, "true", "option", "--exact"])
        self.assertEqual(seen("serve.memory"), [0, "auto", "default", None])
        self.assertEqual(seen("home"), [self.home, self.home, "environment", "MALINA_HOME"])

    def test_as_a_table(self):
        file = self.write("[serve]\nport = 1\n")
        text = self.output("config", "show", "--config", file, "--drain", "1m",
                           environment=self.environment(MALINA_MAX_QUEUE="7"))
        self.assertIn(f"configuration file {file}\n", text)
        rows = {line.split()[0]: line.split(None, 1)[1].split("  ") for line in text.splitlines()[3:]}
        cells = {name: [cell.strip() for cell in row if cell.strip()] for name, row in rows.items()}
        self.assertEqual(cells["serve.port"], ["1", f"{file}:2"])
        self.assertEqual(cells["serve.drain"], ["1m", "option --drain"])
        self.assertEqual(cells["serve.max_queue"], ["7", "environment MALINA_MAX_QUEUE"])
        self.assertEqual(cells["serve.host"], ["127.0.0.1", "default"])
        self.assertIn("no configuration file", self.output("config", "show"))

    def test_a_switch_of_the_file_can_be_opposed(self):
        file = self.write("[serve]\nexact = true\n")
        self.assertFalse(self.settings("--config", file, "--exact=false")["serve.exact"]["value"])
        self.assertFalse(self.settings("--config", file, MALINA_EXACT="no")["serve.exact"]["value"])

    def test_which_file(self):
        def port(**environment):
            return self.settings(HOME=self.folder, **environment)["serve.port"]["value"]
        none = {"MALINA_CONFIG": ""}
        self.write("[serve]\nport = 1\n", ".config/malina/malina.toml")
        self.assertEqual(port(**none), 1)
        self.write("[serve]\nport = 2\n", "xdg/malina/malina.toml")
        self.assertEqual(port(XDG_CONFIG_HOME=self.path("xdg"), **none), 2)
        named = self.write("[serve]\nport = 3\n", "named.toml")
        self.assertEqual(port(MALINA_CONFIG=named), 3)
        option = self.write("[serve]\nport = 4\n", "option.toml")
        self.assertEqual(self.settings("--config", option, MALINA_CONFIG=named)["serve.port"]["value"], 4)
        self.assertEqual(port(), 8080, "MALINA_CONFIG=/dev/null")
        self.error(NOT_FOUND, "config", "show", "--config", self.path("missing.toml"))
        self.error(NOT_FOUND, "list", environment=self.environment(MALINA_CONFIG=self.path("missing.toml")))

    def test_a_broken_file_is_an_error_of_every_command(self):
        file = self.write("[serve]\nprot = 1\n")
        environment = self.environment(MALINA_CONFIG=file)
        for command in (["list"], ["config", "show"], ["verify", "x"], ["pull", "hf:a/b"]):
            message = self.error(USAGE, *command, environment=environment)
            self.assertIn(f"{file}:2: ", message)
            self.assertIn("did you mean 'port'?", message)
        self.malina("completion", "bash", environment=environment)
        self.malina("config", "init", environment=environment)

    def test_a_wrong_variable_of_serve_is_serves_alone(self):
        environment = self.environment(MALINA_PORT="tcp://10.0.0.1:80")
        self.malina("list", environment=environment)
        self.assertIn("enableServiceLinks", self.error(USAGE, "config", "show", environment=environment))

    def test_home_of_the_file(self):
        file = self.write('home = "store"\n')
        environment = self.environment(MALINA_CONFIG=file)
        del environment["MALINA_HOME"]
        tiny = os.path.join(os.path.dirname(__file__), "../golden/tiny")
        model = os.path.join(tiny, sorted(name for name in os.listdir(tiny) if name.endswith(".gguf"))[0])
        self.malina("import", model, "--name", "tiny", environment=environment)
        self.assertTrue(os.path.isdir(self.path("store/models")))
        self.assertIn("tiny", self.output("list", environment=environment))

    def test_offline_of_the_file_closes_the_door(self):
        file = self.write("# quiet\noffline = true\n")
        message = self.error(UNSUPPORTED, "pull", "http://127.0.0.1:1/a.gguf",
                             environment=self.environment(MALINA_CONFIG=file))
        self.assertIn(f"{file}:2 sets offline", message)

    def test_a_mistyped_variable_is_warned_of(self):
        result = subprocess.run([program.PROGRAM, "config", "show"], capture_output=True, text=True,
                                env=self.environment(MALINA_KEEPALIVE="1h"))
        self.assertEqual(result.returncode, 0)
        self.assertEqual(result.stderr, "malina: MALINA_KEEPALIVE is set and is no setting; did you mean "
                                        "MALINA_KEEP_ALIVE?\n")

    def test_wrong_use(self):
        self.assertIn("did you mean 'show'?", self.error(USAGE, "config", "shwo"))
        self.assertIn("did you mean '--keep-alive'?", self.error(USAGE, "config", "show", "--keepalive", "1s"))
        self.assertIn("--port 'x' is not a whole number from 0 to 65535",
                      self.error(USAGE, "config", "show", "--port", "x"))
        self.error(USAGE, "config", "show", "--output", "x")
        self.error(USAGE, "config", "init", "--json")

    def test_init_writes_a_file_that_reads(self):
        path = self.path("new/folder/malina.toml")
        self.assertEqual(self.output("config", "init", "--output", path), path + "\n")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.output("config", "init"))
        self.error(EXISTS, "config", "init", "--output", path)
        before = self.settings()
        after = self.settings("--config", path)
        self.assertEqual(before, after)

    def test_the_page_is_what_the_program_says(self):
        with open(configuration_page.PAGE, encoding="utf-8") as page:
            self.assertEqual(page.read(), configuration_page.make(program.PROGRAM),
                             "run: tests/commands/configuration_page.py PROGRAM > " + configuration_page.PAGE)


if __name__ == "__main__":
    program.main()
