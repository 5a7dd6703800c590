#!/usr/bin/env bash
# A Slurm cluster of one node with fake GPUs, for tests: start_slurm.sh FOLDER [GPUS]
#
# Needs root, and slurm-wlm and munge (Debian 12: 22.05). Everything lies in FOLDER but links in /etc/slurm, where Slurm's programs
# look, and /run/munge; stop_slurm.sh FOLDER removes it all. Refuses a machine that has a Slurm of its own.
set -euo pipefail
folder=$1
gpus=${2:-2}
host=$(hostname -s)
controller_port=26817
node_port=26818

if [ -e /etc/slurm/slurm.conf ]; then
  echo "start_slurm.sh: /etc/slurm/slurm.conf exists; this machine has a Slurm, or an earlier test was not stopped (stop_slurm.sh)" >&2
  exit 2
fi
mkdir -p "$folder"/{state,spool,log,munge} /etc/slurm /run/munge
chmod 755 /run/munge

listening() {  # wait until a local port is open
  for _ in $(seq 150); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "start_slurm.sh: nothing listens on port $1; see $folder/log" >&2
  return 1
}

(umask 077 && head -c 1024 /dev/urandom > "$folder/munge/key")
munged --key-file="$folder/munge/key" --pid-file="$folder/munged.pid" --log-file="$folder/munge/log" \
  --seed-file="$folder/munge/seed"

# Slurm asks for character devices; these read as nothing.
for number in $(seq 0 $((gpus - 1))); do
  [ -c "/dev/fakegpu$number" ] || mknod "/dev/fakegpu$number" c 1 3
done

# Without cgroups (a container has none): processes by their parents, memory by polling each second.
# SlurmdTimeout: after so many seconds without an answer a node is down, and its jobs are requeued.
# MinJobAge keeps finished jobs in squeue, which the executor asks where there is no accounting.
cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
MinJobAge=3600
SlurmdTimeout=15
KillWait=30
OverTimeLimit=0
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=32 RealMemory=400000 Gres=gpu:$gpus State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
echo "NodeName=$host Name=gpu File=/dev/fakegpu[0-$((gpus - 1))] Flags=nvidia_gpu_env" > "$folder/gres.conf"
ln -s "$folder/slurm.conf" /etc/slurm/slurm.conf
ln -s "$folder/gres.conf" /etc/slurm/gres.conf

slurmctld < /dev/null
listening $controller_port
slurmd -N "$host" < /dev/null
for _ in $(seq 150); do
  if timeout 3 sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
    exit 0
  fi
  sleep 0.1
done
echo "start_slurm.sh: the node doesn't come up; see $folder/log" >&2
exit 1
