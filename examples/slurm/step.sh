#!/bin/bash
# One step of an evaluation as a batch job that survives preemption and its time limit:
#
#   sbatch [--array=1-4] [--gres=gpu:1] step.sh physbench rollout MODEL --shard %a/4 --out runs/x/%a --resume
#
# "%a" in the command becomes the number of the job in its array. Preempted, the job is queued again by Slurm; at its
# time limit it queues itself again. Each time it starts with the same command, which goes on where it was.
#SBATCH --job-name=physbench
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -u

command=("${@//%a/${SLURM_ARRAY_TASK_ID:-}}")
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}
again=""

stop() {    # SIGTERM lets physbench keep what is done; the step needs seconds for that
    kill -TERM "$step" 2>/dev/null
}
trap 'again=yes; stop' USR1    # two minutes before the time limit
trap stop TERM                 # preempted, or cancelled: Slurm decides which

# Since Slurm 22.05 srun takes the cores of a step from its own options alone, and up to 23.02 gives it one without them.
srun ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} "${command[@]}" &
step=$!
wait "$step"
code=$?
while kill -0 "$step" 2>/dev/null; do    # a signal ends `wait`, not the step
    wait "$step"
    code=$?
done
if [ -n "$again" ] && [ "$code" -ne 0 ]; then
    scontrol requeue "${job:-$SLURM_JOB_ID}"
fi
exit "$code"
