#!/usr/bin/env bash
# The demonstration: a whole campaign of the silver-flow lab on simulated instruments, and its report.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

rm -rf demo
mkdir demo

show() { printf '\n$ %s\n' "$*"; "$@"; }

show sdl run examples/silver-flow/campaign.yaml --store demo/sdl.db
show sdl report silver-flow-demo --store demo/sdl.db --out demo/report.html
printf '\nThe record is demo/sdl.db. Open demo/report.html in a browser.\n'
