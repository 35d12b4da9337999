#!/usr/bin/env bash
# Install what the tests use from Debian's packages: a PostgreSQL server and a browser. Only as root, and only where they are
# missing; without them the tests that need them are skipped and say so.
set -uo pipefail

missing=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
if [ "${#missing[@]}" -eq 0 ] || [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  exit 0
fi
echo "== set-up: installing ${missing[*]} from Debian's packages"
export DEBIAN_FRONTEND=noninteractive
{ apt-get install -y -q --no-install-recommends "${missing[@]}" ||
  { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; }; } >/tmp/sdl-debian.$$ 2>&1 </dev/null ||
  { tail -n 5 /tmp/sdl-debian.$$; echo "== set-up: could not; tests that need them are skipped"; }
rm -f /tmp/sdl-debian.$$
exit 0
