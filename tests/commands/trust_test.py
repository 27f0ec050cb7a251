"""Keys, aliases and the audit, as whoever runs a server handles them."""

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import time

import gguf_file
import program
from program import CORRUPT, EXISTS, NOT_FOUND, UNSUPPORTED, USAGE

TOKEN = re.compile(r"^(mk_[a-z2-7]{16})\.([A-Za-z0-9_-]{43})$")


class KeyTest(program.ProgramTest):
    def create(self, *arguments):
        return self.output("key", "create", *arguments).strip()

    def test_a_key_is_printed_once_and_kept_as_a_hash(self):
        token = self.create("support desk")
        self.assertRegex(token, TOKEN)
        key_id, secret = token.split(".")
        listed = self.json("key", "list")
        self.assertEqual([key["id"] for key in listed["keys"]], [key_id])
        self.assertNotIn(secret, json.dumps(listed))
        for folder, _, names in os.walk(self.home):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertNotIn(secret.encode(), file.read(), name)
        for name in ("pepper", "audit.key"):
            mode = os.stat(os.path.join(self.home, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600, name)

    def test_what_it_may_do(self):
        self.create("app", "--tenant", "shop", "--permit", "infer,evaluate", "--model", "prod*",
                    "--model", "test", "--expires", "90d", "--requests-per-minute", "60",
                    "--tokens-per-minute", "20000", "--streams", "4", "--longest", "10m")
        key = self.json("key", "list")["keys"][0]
        self.assertEqual(key["tenant"], "shop")
        self.assertEqual(key["permissions"], ["infer", "evaluate"])
        self.assertEqual(key["models"], ["prod*", "test"])
        self.assertEqual((key["requests_per_minute"], key["tokens_per_minute"], key["streams"],
                          key["longest_seconds"]), (60, 20000, 4, 600))
        self.assertEqual(key["state"], "active")
        self.assertIn("local:", key["created_by"])
        text = self.output("key", "list")
        self.assertIn("infer,evaluate", text)
        self.assertIn("prod*,test", text)

    def test_rotate_and_revoke(self):
        first = self.create("app")
        key_id = first.split(".")[0]
        second = self.output("key", "rotate", key_id, "--overlap", "1h").strip()
        self.assertEqual(second.split(".")[0], key_id)
        self.assertNotEqual(first, second)
        secrets = self.json("key", "list")["keys"][0]["secrets"]
        self.assertEqual([secret["generation"] for secret in secrets], [1, 2])
        self.assertIsNotNone(secrets[0]["ends_at"])
        self.assertIsNone(secrets[1]["ends_at"])
        self.assertIn(f"revoked {key_id} (app)", self.output("key", "revoke", key_id))
        self.assertEqual(self.json("key", "list")["keys"][0]["state"], "revoked")
        self.assertIn("is revoked, for good", self.error(USAGE, "key", "rotate", key_id))
        self.output("key", "revoke", key_id)

    def test_an_expired_key_is_listed_as_such(self):
        self.create("short", "--expires", "1s")
        time.sleep(1.1)
        self.assertEqual(self.json("key", "list")["keys"][0]["state"], "expired")

    def test_wrong_use(self):
        self.assertIn("no keys yet", self.output("key", "list"))
        self.assertFalse(os.path.exists(self.home), "looking creates nothing")
        self.assertIn("did you mean 'infer'?", self.error(USAGE, "key", "create", "a", "--permit",
                                                          "infre"))
        self.assertIn("'forever' is not a time", self.error(USAGE, "key", "create", "a",
                                                            "--expires", "forever"))
        self.assertIn("lifetime", self.error(USAGE, "key", "create", "a", "--expires", "0s"))
        self.assertIn("tenant", self.error(USAGE, "key", "create", "a", "--tenant", "A B"))
        self.assertIn("control character", self.error(USAGE, "key", "create", "a\nb"))
        self.assertIn("NAME", self.error(USAGE, "key", "create"))
        self.assertIn("there is no key 'mk_x'", self.error(NOT_FOUND, "key", "revoke", "mk_x.secret"))
        self.assertIn("needs a verb: create, list", self.error(USAGE, "key"))
        self.assertIn("did you mean 'revoke'?", self.error(USAGE, "key", "revok", "mk_x"))
        self.assertIn("see 'malina key create --help'", self.error(USAGE, "key", "create", "a", "b"))
        self.assertIn("did you mean '--tenant'?", self.error(USAGE, "key", "create", "a",
                                                             "--tenat", "x"))

    def test_keys_need_the_pepper_that_they_were_made_with(self):
        self.create("app")
        pepper = os.path.join(self.home, "pepper")
        os.rename(pepper, pepper + ".away")
        self.assertIn("put it back", self.error(NOT_FOUND, "key", "list"))
        with open(pepper, "w", encoding="ascii") as file:
            file.write("x" * 40)
        os.chmod(pepper, 0o600)
        self.assertIn("not the one", self.error(CORRUPT, "key", "create", "b"))
        os.chmod(pepper, 0o644)
        self.assertIn("chmod 600", self.error(USAGE, "key", "create", "b"))
        os.rename(pepper + ".away", pepper)
        self.create("b")

    def test_a_pepper_from_elsewhere(self):
        file = self.path("given")
        with open(file, "w", encoding="ascii") as pepper:
            pepper.write("y" * 32 + "\n")
        environment = self.environment(MALINA_PEPPER_FILE=file)
        self.malina("key", "create", "app", environment=environment)
        self.assertFalse(os.path.exists(os.path.join(self.home, "pepper")))
        self.assertEqual(len(self.json("key", "list", environment=environment)["keys"]), 1)


    def test_a_full_disk_hinders_no_looking(self):
        """A limit on the size of files stands for a full disk: not one page more can be written."""
        import resource
        self.create("app")
        full = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))}
        self.assertEqual(len(self.json("key", "list", **full)["keys"]), 1)
        self.assertIn("key.create", self.output("audit", "tail", **full))
        self.malina("audit", "verify", **full)
        self.error(program.IO, "key", "create", "b", **full)
        self.create("b")
        self.assertCountEqual([key["name"] for key in self.json("key", "list")["keys"]],
                              ["app", "b"])
        self.malina("audit", "verify")


class AliasTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        for name, hidden in (("first", 32), ("second", 64)):
            self.malina("import", gguf_file.write_model(self.path(name + ".gguf"), hidden=hidden),
                        "--name", name)

    def digest(self, name):
        return {m["name"]: m["digest"] for m in self.json("list")["models"]}[name]

    def test_an_alias_is_a_name_like_any_other(self):
        self.assertIn("prod is first", self.output("alias", "set", "prod=first"))
        self.assertEqual(self.json("inspect", "prod")["digest"], self.digest("first"))
        self.output("alias", "set", "prod=second")
        self.assertEqual(self.json("inspect", "prod")["digest"], self.digest("second"))
        self.assertEqual(self.output("tokenize", "prod", "a"), self.output("tokenize", "second", "a"))
        self.assertEqual([a["model"] for a in self.json("alias", "list")["aliases"]], ["second"])

    def test_rollback_goes_back_and_forth(self):
        for model in ("first", "second"):
            self.output("alias", "set", f"prod={model}")
        self.assertEqual(self.json("alias", "rollback", "prod")["model"], "first")
        self.assertEqual(self.json("alias", "rollback", "prod")["model"], "second")
        self.assertEqual(self.json("alias", "rollback", "prod", "--to", "1")["model"], "first")
        moves = self.json("alias", "history", "prod")["moves"]
        self.assertEqual([(m["number"], m["action"], m["model"]) for m in moves],
                         [(1, "set", "first"), (2, "set", "second"), (3, "rollback", "first"),
                          (4, "rollback", "second"), (5, "rollback", "first")])
        self.assertIn("rollback", self.output("alias", "history", "prod"))

    def test_removal_keeps_the_history(self):
        self.output("alias", "set", "prod=first")
        self.assertIn("only once", self.error(NOT_FOUND, "alias", "rollback", "prod"))
        self.output("alias", "remove", "prod")
        self.error(NOT_FOUND, "inspect", "prod")
        self.assertEqual([m["action"] for m in self.json("alias", "history", "prod")["moves"]],
                         ["set", "remove"])
        self.output("alias", "rollback", "prod")
        self.assertEqual(self.json("inspect", "prod")["digest"], self.digest("first"))

    def test_a_name_is_a_models_or_an_aliases(self):
        self.assertIn("name of a model", self.error(EXISTS, "alias", "set", "first=second"))
        self.output("alias", "set", "prod=first")
        file = gguf_file.write_model(self.path("third.gguf"), hidden=96)
        self.assertIn("is an alias", self.error(EXISTS, "import", file, "--name", "prod"))
        self.assertIn("stands for 'first'", self.error(USAGE, "remove", "first"))
        self.output("alias", "set", "prod=second")
        self.output("remove", "first")
        self.assertIn("not in the store any more", self.error(NOT_FOUND, "alias", "rollback", "prod"))
        self.assertEqual(self.json("inspect", "prod")["digest"], self.digest("second"))

    def test_an_alias_of_an_alias_is_what_that_stands_for(self):
        self.output("alias", "set", "canary=second")
        self.output("alias", "set", "prod=canary")
        self.output("alias", "set", "canary=first")
        self.assertEqual(self.json("inspect", "prod")["digest"], self.digest("second"))

    def test_wrong_use(self):
        self.assertIn("ALIAS=MODEL", self.error(USAGE, "alias", "set", "prod"))
        self.assertIn("may hold only", self.error(USAGE, "alias", "set", "Prod=first"))
        self.assertIn("did you mean 'first'?", self.error(NOT_FOUND, "alias", "set", "prod=frist"))
        self.output("alias", "set", "prod=first")
        self.assertIn("did you mean 'prod'?", self.error(NOT_FOUND, "alias", "history", "prd"))
        self.assertIn("did you mean 'prod'?", self.error(NOT_FOUND, "inspect", "prdo"))
        self.assertIn("had no move 9", self.error(NOT_FOUND, "alias", "rollback", "prod", "--to", "9"))
        empty = self.environment(MALINA_HOME=self.path("empty"))
        self.assertIn("no aliases yet", self.output("alias", "list", environment=empty))
        self.error(NOT_FOUND, "alias", "remove", "prod", environment=empty)
        self.assertFalse(os.path.exists(self.path("empty")))


class AuditTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        for name in ("a", "b", "c"):
            self.malina("key", "create", name)
        self.malina("import", gguf_file.write_model(self.path("tiny.gguf")), "--name", "tiny")
        self.malina("alias", "set", "prod=tiny")

    def copy(self):
        """The home's records, as an auditor takes them away."""
        folder = self.path("copy")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        for name in ("malina.db", "malina.db-wal", "audit.checkpoints", "audit.pub"):
            if os.path.exists(os.path.join(self.home, name)):
                shutil.copy(os.path.join(self.home, name), folder)
        return os.path.join(folder, "malina.db")

    def test_changes_are_recorded_and_the_record_verifies(self):
        lines = self.output("audit", "tail").splitlines()
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[0], r"^\S+Z 1 local:\S+ key\.create subject=mk_\w+ done$")
        self.assertIn("alias.set subject=prod model=tiny", lines[3])
        self.assertEqual(len(self.output("audit", "tail", "-n", "2").splitlines()), 2)
        report = self.json("audit", "verify")
        self.assertTrue(report["intact"])
        self.assertEqual((report["records"], report["signed_records"]), (4, 4))
        self.assertIn("were signed at", self.output("audit", "verify"))

    def test_every_line_is_the_record_itself(self):
        import hashlib
        previous = bytes(32)
        for line in self.output("audit", "tail", "--json").splitlines():
            record = line[len('{"record":'):line.rindex(',"hash":')]
            hashed = hashlib.sha256(previous + record.encode()).hexdigest()
            self.assertEqual(json.loads(line)["hash"], hashed)
            previous = bytes.fromhex(hashed)

    def test_tail_follows(self):
        process = subprocess.Popen([program.PROGRAM, "audit", "tail", "-n", "1", "--follow"],
                                   stdout=subprocess.PIPE, env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.assertIn(b"alias.set", process.stdout.readline())
        self.malina("key", "create", "d")
        self.assertIn(b" 5 ", process.stdout.readline())
        process.terminate()
        self.assertEqual(process.wait(10), 0)

    def damage(self, *statements):
        database = self.copy()
        with sqlite3.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return database

    def check(self, kind, sequence, *statements):
        database = self.damage(*statements)
        result = self.malina("audit", "verify", "--database", database, "--json", code=CORRUPT)
        fault = json.loads(result.stdout)["fault"]
        self.assertEqual((fault["kind"], fault["sequence"]), (kind, sequence), fault)
        self.assertIn(f"from record {sequence}", result.stderr.decode())

    def test_damage_is_found_and_named(self):
        self.check("edited", 2, "UPDATE audit SET record = replace(record, 'key.create', 'key.revoke')"
                                " WHERE sequence = 2")
        self.check("dropped", 3, "DELETE FROM audit WHERE sequence = 3")
        self.check("truncated", 4, "DELETE FROM audit WHERE sequence = 4")
        self.check("swapped", 2, "UPDATE audit SET sequence = -1 WHERE sequence = 2",
                   "UPDATE audit SET sequence = 2 WHERE sequence = 3",
                   "UPDATE audit SET sequence = 3 WHERE sequence = -1")
        self.check("truncated", 3, "DELETE FROM audit WHERE sequence > 2",
                   "DELETE FROM audit_checkpoints")

    def test_a_copy_needs_nothing_of_the_home(self):
        database = self.copy()
        shutil.rmtree(self.home)
        report = self.json("audit", "verify", "--database", database)
        self.assertEqual(report["records"], 4)
        self.assertFalse(os.path.exists(self.home))

    def test_a_new_chain_by_a_new_key_is_found_by_the_kept_one(self):
        kept = self.copy()
        shutil.rmtree(self.home)
        self.malina("key", "create", "forged")
        forged = os.path.join(self.home, "malina.db")
        folder = os.path.dirname(kept)
        self.malina("audit", "verify")
        self.assertIn("another key", self.error(
            CORRUPT, "audit", "verify", "--database", forged, "--public-key",
            os.path.join(folder, "audit.pub")))
        self.assertIn("another key", self.error(
            CORRUPT, "audit", "verify", "--database", forged, "--checkpoints",
            os.path.join(folder, "audit.checkpoints")))

    def test_files_that_are_none(self):
        self.assertIn("no database", self.error(NOT_FOUND, "audit", "verify", "--database", "missing"))
        with open(self.path("text"), "w", encoding="ascii") as file:
            file.write("no database\n" * 1000)
        self.error(CORRUPT, "audit", "verify", "--database", "text")
        self.error(CORRUPT, "audit", "verify", "--public-key", "text")
        self.assertIn("line 1", self.error(CORRUPT, "audit", "verify", "--checkpoints", "text"))
        sqlite3.connect(self.path("other.db")).execute("CREATE TABLE t (a)").connection.close()
        self.assertIn("holds no audit", self.error(UNSUPPORTED, "audit", "verify", "--database",
                                                   "other.db"))

    def test_the_signing_key_is_not_replaced_in_silence(self):
        os.remove(os.path.join(self.home, "audit.key"))
        self.malina("key", "create", "late")  # the change itself is recorded
        report = self.json("audit", "verify")
        self.assertEqual((report["records"], report["signed_records"]), (5, 4))


if __name__ == "__main__":
    program.main()
