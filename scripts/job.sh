#!/bin/sh
# The body of the wrappers beside it (scripts/ingest-branch.sh, ...), for those who want a script in their crontab: read
# the environment file, go to the root of the installation, become the job, with both streams appended to the job's log.
#
#   JOBCTL_ENV_FILE   the environment file (default: /etc/jobctl/env where there is one)
#   JOB_LOG           the log (default: /var/log/jobctl/<job>.log where that can be written, else below the data directory)
set -eu
umask 077
job=$1
shift
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"

# What is no setting of jobctl's (a proxy, JOB_LOG) is for this script and for the programs beneath. Its own settings
# jobctl reads by itself, to the letter: a shell that sourced the file would expand the $ in a password.
read_file() {
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line#export }
        name=${line%%=*} value=${line#*=}
        case $value in
        \'*\' | \"*\") value=${value#?} value=${value%?} ;;
        esac
        case $name in
        '' | "$line" | [0-9]* | *[!A-Za-z0-9_]*) ;;
        JOBCTL_DATA_DIR) data=${JOBCTL_DATA_DIR:-$value} ;;
        JOBCTL_* | DATABASE_URL | BRANCH_SLUG | GITHUB_TOKEN | GITHUB_API_URL | REPORT_EMAILS | EMAIL_FROM | SMTP_URL) ;;
        RESEND_API_KEY | SENDGRID_API_KEY | SLACK_WEBHOOK_URL | ENABLE_SLACK_ALERTS | CRON_SECRET) ;;
        *) printenv "$name" >/dev/null || export "$name=$value" ;;
        esac
    done
}

data=${JOBCTL_DATA_DIR:-}
[ -n "${JOBCTL_ENV_FILE:-}" ] || [ ! -e /etc/jobctl/env ] || JOBCTL_ENV_FILE=/etc/jobctl/env
if [ -n "${JOBCTL_ENV_FILE:-}" ]; then
    export JOBCTL_ENV_FILE # also one that cannot be read: jobctl says so, and ends with exit 78
    [ ! -r "$JOBCTL_ENV_FILE" ] || read_file <"$JOBCTL_ENV_FILE"
fi
if [ -z "${JOB_LOG:-}" ]; then
    directory=/var/log/jobctl
    if [ ! -w "$directory" ]; then
        home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
        directory=${data:-${home:?is not set, so that there is no place for the log}/.local/share/jobctl}/output
        mkdir -p -- "$directory"
    fi
    JOB_LOG=$directory/$job.log
fi
exec "$root/.venv/bin/jobctl" "$job" "$@" >>"$JOB_LOG" 2>&1
