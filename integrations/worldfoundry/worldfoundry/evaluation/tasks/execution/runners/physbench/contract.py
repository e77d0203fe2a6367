"""Contract of the benchmark physbench, which the catalog names as its runner target."""

from worldfoundry.evaluation.tasks.contracts.registry import ExternalBenchmarkContract
from worldfoundry.evaluation.tasks.execution.runners.physbench.run_physbench_official_runner import METRICS

PhysbenchContract = ExternalBenchmarkContract(
    benchmark_id="physbench",
    display_name="physbench",
    input_keys=("physbench_export", "generated_video_dir", "official_results_path"),
    output_keys=("scorecard", "raw_metric_table", "benchmark_contract"),
    metric_ids=tuple(METRICS),
    requires_upstream_runtime=True,
    notes=("physbench runs as a command, in an environment of its own, which PHYSBENCH names.",),
)
