# What the scripts share. It is sourced by them, never run.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"
word=${0##*/}
tested="3.11 3.12 3.13" # the versions of Python that CI runs

say() { printf '==> %s\n' "$*"; }
warn() { printf '%s: %s\n' "$word" "$*" >&2; }
die() {
    warn "$@"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# Run a command silently; when it fails, show what it said.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ "$status" != 0 ]; then
        warn "failed with exit code $status: $*"
        tail -n 40 "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

checksum() {
    if have sha256sum; then cat -- "$@" | sha256sum; else cat -- "$@" | shasum -a 256; fi | cut -d' ' -f1
}

# "3.11.7 /where/it/really/is/python3.11" for an interpreter that can carry jobctl. Nothing for one that cannot: older
# than 3.11, unfinished, without ssl, or a pyenv shim with no Python behind it.
python_facts() {
    "$1" -I -c '
import sys
if sys.version_info < (3, 11) or sys.version_info.releaselevel != "final" or sys.implementation.name != "cpython":
    raise SystemExit(1)
import ctypes, ssl, venv, zlib
print("%d.%d.%d" % sys.version_info[:3], sys._base_executable)
' 2>/dev/null </dev/null
}

# Each usable interpreter at hand, one for each version and a line as python_facts gives it: first what the user calls
# python3, then the versions on PATH, then those of pyenv.
pythons() {
    local candidate
    {
        type -ap python3 python3.13 python3.12 python3.11 python3.14 python3.15 python3.16 || true
        printf '%s\n' "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/3.*/bin/python3
    } | while read -r candidate; do
        [ -x "$candidate" ] && python_facts "$candidate" || true
    done | awk '!seen[$1]++'
}

is_tested() {
    local minor
    for minor in $tested; do
        case $1 in "$minor".*) return 0 ;; esac
    done
    return 1
}

# The interpreter for the environment: $PYTHON where given, else the first tested one, else the first that can do it.
choose_python() {
    local facts first=
    if [ -n "${PYTHON:-}" ]; then
        python_facts "$PYTHON" || die "PYTHON=$PYTHON does not run or is no complete CPython of 3.11 or later"
        return
    fi
    while read -r facts; do
        if is_tested "${facts%% *}"; then
            printf '%s\n' "$facts"
            return
        fi
        first=${first:-$facts}
    done < <(pythons)
    [ -n "$first" ] || die "no Python of 3.11 or later was found; install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: PYTHON=/path/to/python3 ./scripts/$word"
    printf '%s\n' "$first"
}
