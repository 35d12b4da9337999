#!/usr/bin/env bash
# Every gate, from cheap to dear. All of them run, so that one call shows everything that is wrong;
# the exit status is that of the whole. `gates.sh static` leaves the tests out.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

names=() results=() failed=0

gate() {
  local name=$1 start=$SECONDS result=ok
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" </dev/null || { result="NOT OK (exit status $?)"; failed=1; }
  names+=("$name") results+=("$result, $((SECONDS - start)) s")
}

gate lint ruff check .
gate format ruff format --check --quiet .
gate types mypy
gate layers lint-imports --no-logo
if [ "${1:-}" != static ]; then
  gate tests pytest -q -n 3 --dist worksteal --durations=10  # they wait for processes and time-outs half of the time
fi

printf '\n== gates\n'
for i in "${!names[@]}"; do
  printf '   %-8s %s\n' "${names[$i]}" "${results[$i]}"
done
exit "$failed"
