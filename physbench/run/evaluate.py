"""One evaluation: clips, rollouts, scores, references, result, report, resumable from what lies on disk.

The stages of a run that was begun, alone and on another machine, are in `stored_stages`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from physbench.adapters.load_model import check_target, live_sha256, model_sha256, preflight
from physbench.adapters.model_protocol import Model
from physbench.clips.clip_archive import opened_archive
from physbench.clips.packed_clips import pack_command
from physbench.clips.suite import EXPECTATION_SUITE
from physbench.errors import UsageError
from physbench.printable import printable
from physbench.results.law_phrases import own_laws_document
from physbench.results.number_format import counted
from physbench.results.read_run import STOPPED, read_manifest
from physbench.run.finalize import drop_results
from physbench.run.fresh_seeds import asked_suite, left_out
from physbench.run.interrupt import explained, interruptible
from physbench.run.options import LIVE_NOT_RESUMED, Options, live_again
from physbench.run.ray_cluster import check_cluster
from physbench.run.repair import drop_damaged, drop_drafts, unanswered
from physbench.run.run_lock import claimed_folder, default_folder, opened
from physbench.run.run_manifest import asked_document, refuse_other_scoring, refuse_other_settings
from physbench.run.run_state import RUN_STAGES, Run, Say, Stage
from physbench.run.versions import foreign_code_hash, versions
from physbench.scoring.score_clip import find_scorers
from physbench.storage.run_contents import CONTENTS, other_contents
from physbench.storage.run_folder import RunFolder
from physbench.worker_pool import worker_count

SPEED_OPTIONS = ("workers", "timeout", "executor", "address")  # change how long a run takes, and nothing that it finds


def say_on_stderr(message: str) -> None:
    print(printable(message, keep="\n\t"), file=sys.stderr, flush=True)


def evaluate(
    options: Options,
    *,
    out: Path | None = None,
    resume: bool = False,
    fresh: bool = False,
    debug: bool = False,
    say: Say = say_on_stderr,
    model: Model | None = None,
    report: bool = True,
    settings: Mapping[str, object] | None = None,
    stages: tuple[Stage, ...] = RUN_STAGES,
) -> RunFolder:
    """Evaluate a model on a suite and return the run folder with scores, result and report.

    Of `stages` the last ones may be left out; a shard is never finished alone.

    `model` is one that lives in this process and is rolled out here; `options.model` is then only its name. Such a run
    can be resumed with the same weights. Without `report` the result is all that is written. `settings`
    are those that came from a file, for the manifest.
    Raises UsageError or ModelError (exit 2) for what was asked wrongly, PhysbenchError (1) for a full disk or a killed
    worker and Interrupted (130) for Ctrl-C; in the last two cases everything scored so far stays in the folder.
    """
    started = time.monotonic()
    options.check()
    if options.suite == EXPECTATION_SUITE:
        raise UsageError("The suite expectation shows films: run `physbench eval MODEL --suite expectation`.")
    if options.shard is not None:
        stages = tuple(stage for stage in stages if stage != "finish")
    path = out or (default_folder(options.short_name, options.suite_name, resume) if resume else None)
    clips = None if options.clips is None else opened_archive(options.clips)
    if clips and options.look not in (None, clips.spec.look):
        asked_spec = replace(clips.spec, look=options.look)
        raise UsageError(
            f"--clips: {clips.name} holds clips of {clips.spec}, and --look asks for {options.look}. Leave --look out, "
            f"or pack clips of that look: {pack_command(options.suite_words, asked_spec)}"
        )
    suite, salt = asked_suite(options, path if resume else None, live=model is not None)
    suite = clips.known(suite) if clips else suite
    if model is None:
        check_target(options.model, trust_code=options.trust_code)
    if options.executor == "ray" and not resume:
        check_cluster(options.address)
    scorers = find_scorers(options.scorers)
    if model is None:
        for line in preflight(options.model, suite, options.samples, options.model_arg):
            say(line)
    sha256 = model_sha256(options.model) if model is None else live_sha256(model)
    if model is not None and resume and sha256 is None:
        raise UsageError(LIVE_NOT_RESUMED)
    asked = asked_document(
        options,
        suite,
        sha256,
        versions(purpose="runs"),
        foreign_code_hash(scorers),
        own_laws_document(scorers),
        salt=salt,
        clips=clips,
    ) | {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    made: tuple[Path, ...] = ()
    stopped: object = None
    served = options.model.startswith(("http://", "https://"))
    if path is None:
        path, made = claimed_folder(options.short_name, options.suite_name)
    with interruptible(), opened(path, resume=resume, fresh=fresh, made=made) as folder:
        if folder.manifest.exists():
            stored = read_manifest(folder)
            refuse_other_settings(stored, asked, path)
            if "score" in stages:
                refuse_other_scoring(stored, asked, path)
            waiting = served and unanswered(folder, suite.rows, options.samples)
            if resume and report and "finish" in stages and not waiting and is_done(folder, stored, asked, settings):
                say("Nothing is left to do: the run is finished, and nothing of it has changed.")
                return folder
            asked = {**stored, "options": asked["options"]}
            asked.pop(CONTENTS, None)  # of the run as it was finished before
            stopped = asked.pop(STOPPED, None)
        if clips:
            asked["clips"] = clips.document()  # the same archive may lie elsewhere now
        if settings:
            asked["settings_file"] = dict(settings)
        if not resume and (few := left_out(suite, options)):
            say(few)
        workers = worker_count(options.workers)
        run = Run(folder, options, suite, asked, say, workers, debug, model, report, stages, started=started)
        verb = "rollout" if stages == ("rollout",) else "eval"
        again = options.resume_command(path, verb) if model is None else live_again(path, sha256)
        run.leftovers = stopped is not None
        if resume:
            drop_drafts(folder)
            damaged = drop_damaged(folder, suite.rows, options.samples)
            if damaged:
                say(f"Files of {counted(damaged, 'sample')} are damaged or lost: scored again.")
            run.unanswered = len(unanswered(folder, suite.rows, options.samples)) if served else 0
            say(run.standing() if run.planned else f"Nothing to resume in {path}: starting.")
        if clips and run.planned:
            drop_results(run)
            run.save_manifest()  # workers read in it where the archive is now
        from physbench.run.stage_work import work  # with torch and all that reads pictures: seconds

        with explained(again, run.kept, folder.path):
            work(run)
            lost = len(unanswered(folder, suite.rows, options.samples)) if served else 0
            if lost:
                many = counted(lost, "rollout")
                say(f"{many} failed as the server did not answer. Once it runs, repeat with:\n  {again}")
    return folder


def is_done(
    folder: RunFolder, stored: Mapping[str, Any], asked: Mapping[str, Any], settings: Mapping[str, object] | None
) -> bool:
    """Whether a run is finished just as it is asked for now, and its files are those with which it was finished."""
    now = json.loads(json.dumps({**asked, "settings_file": dict(settings) if settings else None}))
    before, after = ({**each, "options": {**each["options"], **dict.fromkeys(SPEED_OPTIONS)}} for each in (stored, now))
    same = all(before.get(name) == after.get(name) for name in ("options", "versions", "clips", "settings_file"))
    return same and bool(stored.get(CONTENTS)) and STOPPED not in stored and not other_contents(folder, stored)
