#!/usr/bin/env bash
# One file of mesh tests, its output in one piece, so that several can run side by side. Real time on a busy machine: it
# may be tried MESH_TRIES times, and every failure is shown all the same.
set -u
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for try in $(seq "${MESH_TRIES:-1}"); do
  if node_modules/.bin/mocha --timeout 120000 "$1" >"$output" 2>&1; then
    cat "$output"
    exit 0
  fi
  cat "$output"
  echo "── $1 failed: try $try of ${MESH_TRIES:-1}"
done
# xargs starts nothing more after this.
exit 255
