#!/usr/bin/env bash
# Makes a TPU VM slice, brings this checkout to all its workers, sets it up and runs a command on every one of them.
#
#   launch/tpu_vm.sh --name=t2t --zone=us-central2-b --type=v4-32 -- \
#     launch/train.py --config=configs/finetune.py --config.data.train=/mnt/shared/pairs.tsv --workdir=/mnt/shared/run
#
# The same command runs on every worker; t2t finds the slice by itself (jax.distributed). Running the script again
# continues: an existing slice is used as it is, and training goes on from its newest checkpoint. The workdir is a
# folder that all workers see: a mounted disk or bucket.
# --dry_run prints the commands and runs none of them.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: launch/tpu_vm.sh --name=NAME --zone=ZONE --type=TYPE [options] -- SCRIPT [FLAGS...]
  --name=NAME        of the slice (made if it is not there)
  --zone=ZONE        e.g. us-central2-b
  --type=TYPE        e.g. v4-32, v5litepod-16, v6e-8
  --version=VERSION  of the TPU VM's software (default: tpu-ubuntu2204-base)
  --project=PROJECT  of the cloud (default: gcloud's own)
  --spot             a spot slice: cheaper, may be taken away at any time
  --delete           delete the slice when the command has ended well
  --dry_run          print what would be run, run nothing
USAGE
}

name="" zone="" type="" version="tpu-ubuntu2204-base" project="" spot="" delete="" dry=""
while [ $# -gt 0 ]; do
  case "$1" in
    --name=*) name="${1#*=}" ;;
    --zone=*) zone="${1#*=}" ;;
    --type=*) type="${1#*=}" ;;
    --version=*) version="${1#*=}" ;;
    --project=*) project="${1#*=}" ;;
    --spot) spot=1 ;;
    --delete) delete=1 ;;
    --dry_run) dry=1 ;;
    --help | -h) usage; exit 0 ;;
    --) shift; break ;;
    *) echo "error: unknown flag '$1'" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
for flag in name zone type; do
  if [ -z "${!flag}" ]; then
    echo "error: --$flag is missing" >&2; usage >&2; exit 2
  fi
done
if [ $# -eq 0 ]; then
  echo "error: no command; put it after --, for example: -- launch/train.py --config=configs/demo.py --workdir=/mnt/shared/run" >&2
  exit 2
fi

root="$(cd "$(dirname "$0")/.." && pwd)"
where=(--zone="$zone")
if [ -n "$project" ]; then where+=(--project="$project"); fi

# One word as one could type it: bare where that is safe, else in single quotes.
quoted() {
  if [[ "$1" =~ ^[A-Za-z0-9_./:=@,+-]+$ ]]; then printf '%s' "$1"; else printf "'%s'" "${1//\'/\'\\\'\'}"; fi
}

# Prints the command, and runs it unless this is a dry run.
step() {
  printf '+'
  for word in "$@"; do printf ' '; quoted "$word"; done
  printf '\n'
  if [ -z "$dry" ]; then "$@"; fi
}
on_all_workers() { step gcloud compute tpus tpu-vm ssh "$name" "${where[@]}" --worker=all --command="$1"; }

# The slice: made once, used again afterwards.
if [ -n "$dry" ] || ! gcloud compute tpus tpu-vm describe "$name" "${where[@]}" >/dev/null 2>&1; then
  create=(gcloud compute tpus tpu-vm create "$name" "${where[@]}" --accelerator-type="$type" --version="$version")
  if [ -n "$spot" ]; then create+=(--spot); fi
  step "${create[@]}"
fi

# The code: what git knows of this checkout, uncommitted changes included, as one archive.
archive="$(mktemp -d)/t2t.tar.gz"
trap 'rm -rf "$(dirname "$archive")"' EXIT
if [ -n "$dry" ]; then archive=/tmp/t2t.tar.gz; trap - EXIT; fi
step bash -c "cd $(quoted "$root") && git ls-files -z | tar --null --files-from=- --ignore-failed-read -czf $(quoted "$archive")"
step gcloud compute tpus tpu-vm scp "$archive" "$name:t2t.tar.gz" "${where[@]}" --worker=all

# The set-up, quick where it is done already: Python 3.11 or newer, the package with the TPU's jax.
on_all_workers "mkdir -p t2t && tar -xzf t2t.tar.gz -C t2t && cd t2t && \
(launch/find_python.sh >/dev/null 2>&1 || (sudo add-apt-repository -y ppa:deadsnakes/ppa && sudo apt-get update -q && sudo apt-get install -qy python3.12 python3.12-venv)) && \
([ -x .venv/bin/python ] || \"\$(launch/find_python.sh)\" -m venv .venv) && .venv/bin/pip install --quiet --editable '.[tpu]'"

# The command, on every worker at once.
command=""
for word in "$@"; do command+=" $(quoted "$word")"; done
on_all_workers "cd t2t && .venv/bin/python$command"

if [ -n "$delete" ]; then
  step gcloud compute tpus tpu-vm delete "$name" "${where[@]}" --quiet
fi
