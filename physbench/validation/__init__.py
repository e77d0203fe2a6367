"""How scorers are tested: videos with a known fault or with none, and the table of what each reading makes of them.

Where videos come from: `violations` (ground truth with one thing wrong, by a stated amount), `lawful_alternatives`
(other futures that break no law), `gaming_baselines` with `extrapolations` (futures that are made to score well);
`sources` names them all, and `saboteur_adapter` evaluates one like a model.
From videos to the table: `measure_sources` and `measured_parts` (each source on each clip, kept on disk), `task_cells`
(cells of one task, with `separation` for AUROC and intervals), `validity_table` (means over tasks and families, with
`false_breaks` and `source_skill`), `thresholds` (the bars that are declared), `table_file` and `publish`.
`check_scorers` is `physbench scorers check`, and `validity_text` what it prints.
"""
