#!/usr/bin/env bash
# One torchrun on each node of a Slurm job: launch_nodes.sh NODES PROCESSES script [arguments]
# A launcher for trainings on several nodes: profiles/README.md.
set -euo pipefail
nodes=$1
processes=$2
shift 2
if (( processes % nodes )); then
  echo "launch_nodes.sh: $processes processes can't be shared equally by $nodes nodes; change compute: train: processes" >&2
  exit 2
fi
# Quoted: the variables are those of each node's own step. The port depends on the job, so that two jobs that meet on a node don't share one.
exec srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 bash -c '
  per_node=$1
  shift
  exec python -m torch.distributed.run --nnodes "$SLURM_NNODES" --node-rank "$SLURM_NODEID" --nproc-per-node "$per_node" \
    --master-addr "$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1)" \
    --master-port "$((20000 + SLURM_JOB_ID % 10000))" "$@"
' bash "$((processes / nodes))" "$@"
