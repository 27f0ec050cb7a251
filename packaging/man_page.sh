#!/bin/sh
# Prints the manual page malina(1), made from the program's own --help: man_page.sh PROGRAM
set -eu
program=$1

# Text as it is, for roff.
verbatim() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

version=$("$program" --version | sed 's/^malina //')
cat <<END
.TH MALINA 1 "" "malina $version" "User commands"
.SH NAME
malina \- run, serve, tune and measure small language models
.SH SYNOPSIS
.B malina
.I COMMAND
.RI [ ARGUMENTS ]
.RI [ OPTIONS ]
.SH DESCRIPTION
.nf
END
"$program" --help | verbatim
echo .fi
section() {  # COMMAND [VERB]
  printf '.SH MALINA %s\n.nf\n' "$(echo "$*" | tr '[:lower:]' '[:upper:]')"
  "$program" "$@" --help </dev/null | verbatim
  echo .fi
}
# The names below a heading of --help, up to the next heading.
names() { sed -n "/^$1:/,/^[^ ]*:\$/s/^  \([a-z][a-z_-]*\)  .*/\1/p"; }

"$program" --help | names Commands | while read -r command; do
  section "$command"
  "$program" "$command" --help </dev/null | names Verbs | while read -r verb; do
    section "$command" "$verb"
  done
done
cat <<'END'
.SH FILES
.TP
.I ~/.config/malina/malina.toml, /etc/malina/malina.toml
The settings; the first that exists is read. 'malina config init' prints one with every setting
explained.
.TP
.I ~/.local/share/malina
Models and records, unless MALINA_HOME or the setting 'home' names another folder; of the service
.IR /var/lib/malina .
.TP
.I /etc/malina/offline
Where this file exists, 'malina pull' is closed.
.SH ENVIRONMENT
Each setting has a variable, MALINA_ and its name in capitals; 'malina config show' prints what holds,
and why.
.SH EXIT STATUS
0 when all is done; each failure is one line on standard error, and a code that
.I /usr/share/doc/malina/reference/exit\-codes.md
lists.
END
