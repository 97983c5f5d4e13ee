#!/bin/sh
# jobctl retry-failed with its output in its log; see job.sh.
exec "$(dirname -- "$0")/job.sh" retry-failed "$@"
