#!/usr/bin/env bash
# Make .venv-validators: the public validators that the tests hold sdl's exports to, and a Tiled server. Some of them ask
# for older versions of what sdl itself uses, so they live in an environment of their own and are called as commands.
# Does nothing when it is up to date; begins afresh after an interrupted installation.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv-validators
done_file=$venv/.installed
content_hash() { { pwd; cat tests/validators.txt; .venv/bin/python -VV; } | cksum; }

if [ -f "$done_file" ] && [ "$(cat "$done_file")" = "$(content_hash)" ]; then
  exit 0
fi
echo "== set-up: installing the validators of tests/validators.txt into $venv (1 to 5 minutes, 1.3 GB of disk)"
rm -rf "$venv"
.venv/bin/python -m venv "$venv"
if ! "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --quiet --no-deps -r tests/validators.txt; then
  echo "== set-up: failed; mend that, then run the same command again" >&2
  exit 1
fi
content_hash >"$done_file"
