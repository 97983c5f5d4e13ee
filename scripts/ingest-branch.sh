#!/bin/sh
# jobctl ingest-branch with its output in its log; see job.sh.
exec "$(dirname -- "$0")/job.sh" ingest-branch "$@"
