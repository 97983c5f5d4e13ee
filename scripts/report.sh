#!/bin/sh
# jobctl report with its output in its log; see job.sh.
exec "$(dirname -- "$0")/job.sh" report "$@"
