#!/usr/bin/env bash
# The second demonstration: films from a lab of five stations, rehearsed, run four at a time, and reported.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

rm -rf demo-thin-film
mkdir demo-thin-film
lab=examples/thin-film/lab.yaml campaign=examples/thin-film/campaign.yaml store=(--store demo-thin-film/sdl.db)

show() { printf '\n$ %s\n' "$*"; "$@"; }

show sdl validate "$campaign"
show sdl stock receive substrate 400 --lot S-1 --lab "$lab" "${store[@]}"
show sdl stock receive ink '100 mL' --lot I-1 --expires 2099-12-31 --lab "$lab" "${store[@]}"
show sdl rehearse "$campaign" "${store[@]}" --runs 4
show sdl run "$campaign" "${store[@]}"
show sdl schedule thin-film-demo "${store[@]}"
show sdl stock "${store[@]}" --lab "$lab"
show sdl show thin-film-demo "${store[@]}"
show sdl report thin-film-demo "${store[@]}" --out demo-thin-film/report.html
printf '\nThe record is demo-thin-film/sdl.db. Open demo-thin-film/report.html in a browser.\n'
