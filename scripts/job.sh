#!/bin/sh
# The body of the wrappers beside it (scripts/ingest-branch.sh, ...), for those who want a script in their crontab: read
# the environment file, go to the root of the installation, become the job, with both streams appended to the job's log.
#
#   JOBCTL_ENV_FILE   the environment file (default: /etc/jobctl/env where there is one)
#   JOBCTL_JOB_LOG    the log (default: /var/log/jobctl/<job>.log where that can be written, else below the data directory)
set -eu
job=$1
shift
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
: "${JOBCTL_ENV_FILE:=/etc/jobctl/env}"
[ -r "$JOBCTL_ENV_FILE" ] && export JOBCTL_ENV_FILE || unset JOBCTL_ENV_FILE
if [ -z "${JOBCTL_JOB_LOG:-}" ]; then
    directory=/var/log/jobctl
    [ -w "$directory" ] || directory=${JOBCTL_DATA_DIR:-${HOME:-/tmp}/.local/share/jobctl}/output
    mkdir -p -- "$directory"
    JOBCTL_JOB_LOG=$directory/$job.log
fi
umask 077
cd -- "$root"
log=$JOBCTL_JOB_LOG
unset JOBCTL_JOB_LOG # it is this script's, and no setting
exec "$root/.venv/bin/jobctl" "$job" "$@" >>"$log" 2>&1
