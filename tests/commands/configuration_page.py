#!/usr/bin/env python3
"""Prints docs/reference/configuration.md: configuration_page.py PROGRAM. The table of settings is what
`malina config show --json` says of them; the words around it stand here."""

import json
import os
import subprocess
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/reference/configuration.md")

HEAD = """# Configuration

Made from the program's own table of settings by `tests/commands/configuration_page.py`; a test holds it.

A setting has one name in three places: `keep_alive` in the table `[serve]` of the configuration file is the
environment variable `MALINA_KEEP_ALIVE` and the option `--keep-alive` of `malina serve`. What is said in
several places holds in this order, and none is merged with another, lists neither:

1. the option,
2. the environment variable, unless it is empty,
3. the file,
4. the default.

```
malina config show                       # every setting, its value, and where it comes from
malina config show --port 9000 --json    # as `malina serve --port 9000` would have it
malina config init                       # a file with every setting, explained and commented out
```

## The file

[TOML](https://toml.io/en/v1.0.0). One file is read, the first of

1. `--config FILE` (of `serve` and `config`),
2. `$MALINA_CONFIG`; `MALINA_CONFIG=/dev/null` is no file at all,
3. `$XDG_CONFIG_HOME/malina/malina.toml`, or without that variable `~/.config/malina/malina.toml`,
4. `/etc/malina/malina.toml`.

The first two must exist; what stands in a folder that one may not look into counts as absent. Every command reads it, for `home` and `offline`; the rest is for `serve`.

```toml
home = "/srv/malina"

[serve]
models = ["support", "qwen3-0.6b"]
memory = "8GiB"
keep_alive = "1h30m"
host = "0.0.0.0"
tls_certificate = "tls/server.pem"     # from the file's own folder
tls_key = "tls/server.key"
allowed_hosts = ["models.example.org"]
```

- Nothing that is wrong is passed over: what is no TOML, a key or a table that does not exist, a value of
  another type or beyond its limits is an error that names the file, the line, the value and what is allowed
  (exit code 2), of every command, so that a mistake is not found at the next restart.
- Durations are whole numbers with units, the larger first: `"500ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`; a
  number alone is seconds.
- Sizes are `"8GiB"`, `"1.5GiB"` (powers of 1024), `"500MB"` (powers of 1000); a number alone is bytes. `"8G"`
  could be either, and is an error.
- Lists are lists of texts in the file, and separated by commas in a variable or an option, which may also be
  repeated.
- Switches are `true` or `false`; as an option `--exact`, or `--exact=false` against the file.
- Paths may begin with `~/`. What is relative is so to the file's folder, and in a variable or an option to the
  current one.
- A file that every user may write is not read: it says where the server listens, and with whose key. A
  private key that every user may read is warned of. There are no passwords in this file: `trust_loopback` is
  the public half of a key, and `tls_key` a path.
- A variable that begins with `MALINA_` and is nearly the name of a setting is warned of.

## Settings

"""

TAIL = """
`host` is an address, since a server that looks names up opens a connection; `localhost` is 127.0.0.1. Beyond
this machine, TLS or `allow_plaintext` must be set. A socket that the system passes (systemd) comes before
`host` and `port`.

`MALINA_OFFLINE` closes `pull` and `connector` with any value but `0` and `false`, as it always did. A user's own file and
variables come before `/etc/malina/malina.toml`; what no user can open is the file `/etc/malina/offline`
([pull](pull.md)).

These variables are no settings: `MALINA_CONFIG` (above) and `MALINA_ISA`, the instruction set that kernels
use instead of the best (`malina info` lists them).
"""


def describe(program):
    environment = {"PATH": os.environ["PATH"], "HOME": "/home/user", "MALINA_CONFIG": "/dev/null"}
    output = subprocess.run([program, "config", "show", "--json"], capture_output=True, check=True,
                            text=True, env=environment).stdout
    return json.loads(output)["settings"]


def make(program):
    page = HEAD + "| in the file | variable, option | default | what it is |\n|---|---|---|---|\n"
    for setting in describe(program):
        allowed = setting["allowed"].split(" (")[0]
        words = setting["allowed"].partition(")")[2] if " (" in setting["allowed"] else ""
        limits = "" if allowed.startswith(("a text", "a path", "a list", "true")) else f" *{allowed}{words}*"
        names = f"`{setting['variable']}`" + (f" `{setting['option']}`" if setting["option"] else "")
        default = setting["default"] or ("`~/.local/share/malina`" if setting["name"] == "home" else "")
        if default and not default.startswith("`"):
            default = f"`{default}`"
        page += f"| `{setting['name']}` | {names} | {default} | {setting['help']}.{limits} |\n"
    return page + TAIL


if __name__ == "__main__":
    sys.stdout.write(make(sys.argv[1]))
