#!/usr/bin/env bash
# Builds, tests and fetches: all the logic is in build/, which this only calls.
set -euo pipefail
cd "$(dirname "$0")"
exec dotnet run --project build -- "$@"
