"""One evaluation of one model: planned, executed, interrupted, resumed and finished.

`stage_work` does the stages of a run, `stored_stages` those of one that was rolled out elsewhere, `run_shard` and
`merge_runs` split a run and join it. `api.evaluate` and `evaluation.Evaluation` are what users import. `evaluate` is
the order of the work; `pipeline` makes clips, rollouts and scores at the same time, in the processes of `worker`,
`worker_jobs` and `preload`; `multi_rollout` reads several samples and pairs of clips together; `references` brings
ground truth and baselines; `finalize` writes result and report. The state on disk: `run_state`, `run_manifest`,
`run_lock`, `score_shards`, `repair`, `versions`. `interrupt` handles Ctrl-C and dead workers, `peak_memory` watches
memory, and `host_info` is `physbench doctor`.
"""
