#!/usr/bin/env bash
# Make .venv and install the package in it, editable, with every version pinned by constraints.txt.
# Does nothing when nothing that matters has changed; begins afresh after an interrupted installation.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
done_file=$venv/.sdl-installed
busy_file=$venv/.sdl-installing

usable() { # a Python of at least 3.11 that can make virtual environments
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
    if usable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  {
    echo "sdl needs Python 3.11 or later with its venv module, and found none of: ${PYTHON:-python3.11 python3 python3.12 python3.13}"
    echo "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) or name yours: make PYTHON=/path/to/python3 ..."
  } >&2
  return 1
}

content_hash() { # of everything that decides what is installed; the folder counts, because scripts hold its path
  { pwd; cat constraints.txt pyproject.toml; "$venv/bin/python" -VV; } | cksum
}

if [ -e "$busy_file" ]; then
  echo "== set-up: the last installation was interrupted; beginning afresh"
  rm -rf "$venv"
fi
if [ -f "$done_file" ] && [ "$(cat "$done_file")" = "$(content_hash 2>/dev/null)" ]; then
  exit 0
fi
if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
  python=$(find_python)
  echo "== set-up: making $venv with $("$python" -V)"
  rm -rf "$venv"
  mkdir "$venv" && touch "$busy_file"
  "$python" -m venv "$venv"
fi

fail() { # pip refused and left things as they were, so the next call may go on from here
  rm -f "$busy_file"
  echo "== set-up: failed; mend that, then run the same command again" >&2
  exit 1
}
trap 'exit 130' INT TERM # an installation cut off half-way is made afresh

echo "== set-up: installing sdl and the packages of constraints.txt into $venv (1 to 10 minutes, 2 GB of disk)"
touch "$busy_file"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --no-input)
SECONDS=0
"${pip[@]}" install --quiet --quiet -c constraints.txt pip setuptools wheel || fail
"${pip[@]}" install --quiet --quiet -c constraints.txt --no-build-isolation -e '.[all,dev]' || fail
"${pip[@]}" check >/dev/null || { "${pip[@]}" check >&2 || fail; }
content_hash >"$done_file"
rm -f "$busy_file"
echo "== set-up: done in ${SECONDS} s"
