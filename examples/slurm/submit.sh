#!/bin/bash
# Evaluate a model on a cluster: clips are packed and scored on CPU nodes, the model is rolled out on GPU nodes.
#
#   SHARDS=8 BATCH=16 SIZE=128 FPS=30 CPU="--partition=cpu" GPU="--partition=gpu" bash submit.sh MODEL RUN [OPTION ...]
#
# RUN becomes the folder of the run; options are those of `physbench rollout`. SIZE and FPS are those of the model's card.
# The folder must be one that all nodes see. PACK holds more options of `physbench data pack`: what changes the clips
# (--look, --prompt-motion, --tasks, --limit) is given to both, as in PACK="--look natural" ... RUN --look natural.
# Where a job has failed, its log in RUN.shards/logs says why; the same command goes on. A finished run is never replaced.
set -eu
model=$1 run=$2
shift 2
suite=${SUITE:-core} shards=${SHARDS:-4} batch=${BATCH:-8} size=${SIZE:-64} fps=${FPS:-15}
here=$(cd "$(dirname "$0")" && pwd)
clips=$run.shards/clips shard=$run.shards/%a
read -ra cpu <<< "${CPU:-}"
read -ra gpu <<< "${GPU:---gres=gpu:1}"
read -ra pack_options <<< "${PACK:-}"
all=()
for index in $(seq "$shards"); do all+=("$run.shards/$index"); done

refuse() {
    echo "$1" >&2
    exit 2
}
if grep -q '^ "contents":' "$run/manifest.json" 2>/dev/null; then    # which only a finished run has
    refuse "$run holds a finished run. Choose another RUN, or remove $run and $run.shards."
fi
if [ -e "$run/manifest.json" ]; then    # an unfinished run: that of the shards, if all of them were there to be joined
    for place in "${all[@]}"; do
        [ -e "$place/manifest.json" ] ||
            refuse "$run holds a run that is not of the shards in $run.shards. Choose another RUN."
    done
fi
mkdir -p "$run.shards/logs"

submit() {    # prints the number of the job; one that waits for a job that failed is cancelled
    sbatch --parsable --kill-on-invalid-dep=yes --output="$run.shards/logs/%x-%A-%a.txt" "$@"
}
pack=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" "$here/step.sh" \
    physbench data pack "$suite" --size "$size" --fps "$fps" --out "$clips" --replace "${pack_options[@]}")
rollout=$(submit "${gpu[@]}" --array="1-$shards" --dependency="afterok:$pack" "$here/step.sh" \
    physbench rollout "$model" --suite "$suite" --clips "$clips" --batch-size "$batch" --shard "%a/$shards" \
    --out "$shard" --resume "$@")
score=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" --array="1-$shards" --dependency="aftercorr:$rollout" \
    "$here/step.sh" physbench score "$shard")
merge=$(submit "${cpu[@]}" --cpus-per-task="${CORES:-8}" --dependency="afterok:$score" "$here/step.sh" \
    physbench merge "${all[@]}" --out "$run")
echo "pack $pack, rollout $rollout, score $score, merge $merge: the report will be $run/report/index.html"
echo "Logs: $run.shards/logs"
