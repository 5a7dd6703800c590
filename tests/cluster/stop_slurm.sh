#!/usr/bin/env bash
# Ends the cluster of start_slurm.sh FOLDER and removes what it left on the machine; FOLDER itself goes, too.
set -uo pipefail
folder=$1
timeout 10 scancel --user root --quiet 2>/dev/null
sleep 1
for name in slurmd slurmctld munged; do
  if [ -f "$folder/$name.pid" ]; then
    pid=$(cat "$folder/$name.pid")
    kill "$pid" 2>/dev/null
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  fi
done
# Links into the folder only: never a configuration that is not ours.
for name in slurm gres; do
  link=/etc/slurm/$name.conf
  [ -L "$link" ] && case "$(readlink "$link")" in "$folder"/*) rm "$link" ;; esac
done
rm -f /dev/fakegpu[0-9]*
rm -rf "$folder"
