#!/bin/bash
# Evaluate a model on a cluster: clips are packed and scored on CPU nodes, the model is rolled out on GPU nodes.
#
#   SHARDS=8 BATCH=16 SIZE=128 FPS=30 CPU="--partition=cpu" GPU="--partition=gpu" bash submit.sh MODEL RUN [OPTION ...]
#
# RUN becomes the folder of the run; options are those of `physbench rollout`. SIZE and FPS are those of the model's card.
# The folder must be one that all nodes see.
set -eu
model=$1 run=$2
shift 2
suite=${SUITE:-core} shards=${SHARDS:-4} batch=${BATCH:-8} size=${SIZE:-64} fps=${FPS:-15}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$run.shards/logs"
clips=$run.shards/clips shard=$run.shards/%a
read -ra cpu <<< "${CPU:-}"
read -ra gpu <<< "${GPU:---gres=gpu:1}"

submit() {    # prints the number of the job
    sbatch --parsable --output="$run.shards/logs/%x-%A-%a.txt" "$@"
}
pack=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" "$here/step.sh" \
    physbench data pack "$suite" --size "$size" --fps "$fps" --out "$clips" --replace)
rollout=$(submit "${gpu[@]}" --array="1-$shards" --dependency="afterok:$pack" "$here/step.sh" \
    physbench rollout "$model" --suite "$suite" --clips "$clips" --batch-size "$batch" --shard "%a/$shards" \
    --out "$shard" --resume "$@")
score=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" --array="1-$shards" --dependency="aftercorr:$rollout" \
    "$here/step.sh" physbench score "$shard")
all=()
for index in $(seq "$shards"); do all+=("$run.shards/$index"); done
merge=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" --dependency="afterok:$score" "$here/step.sh" \
    physbench merge "${all[@]}" --out "$run" --fresh)
echo "pack $pack, rollout $rollout, score $score, merge $merge: the report will be $run/report/index.html"
