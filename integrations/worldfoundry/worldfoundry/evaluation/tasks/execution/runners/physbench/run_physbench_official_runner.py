#!/usr/bin/env python3
"""WorldFoundry runner of physbench: scores a folder of generated videos, or imports the result.json of a run.

physbench runs as a command in an environment of its own. This file needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

BENCHMARK = "physbench"
PRIMARY = "physbench_overall"
METRICS: Mapping[str, tuple[tuple[str, ...], str]] = {  # by id: place in result.json, name
    PRIMARY: (("overall", "skill"), "Skill"),
    "physbench_consistency": (("axes", "consistency", "skill"), "Skill of physical consistency"),
    "physbench_permanence": (("axes", "permanence", "skill"), "Skill of object permanence"),
    "physbench_drift": (("axes", "drift", "skill"), "Skill of long-horizon drift"),
    "physbench_lawful_seconds": (("lawful", "seconds"), "Time for which predictions stay physical, s"),
}
SKILLS = tuple(METRICS)[:4]  # 0 is the frozen last frame, 1 ground truth; below 0 is worse than frozen


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score generated videos with physbench.")
    parser.add_argument("--benchmark-id", default=BENCHMARK)
    parser.add_argument("--run-official", action="store_true", help="run physbench, in place of importing a result")
    parser.add_argument("--official-results-path", type=Path, help="result.json of a physbench run")
    parser.add_argument("--generated-artifact-dir", type=Path, help="videos, named after the clips of the export")
    parser.add_argument("--export", type=Path, help="folder that `physbench data export` wrote")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--strict", action="store_true", help="fail unless all of the suite core was scored")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def named(given: Path | None, variable: str, option: str) -> Path:
    """The path of an option, or else of an environment variable. Raises ValueError without either."""
    value = str(given) if given is not None else os.environ.get(variable, "")
    if not value:
        raise ValueError(f"{option} or {variable} is needed")
    return Path(value).expanduser().resolve()


def evaluate(args: argparse.Namespace) -> Path:
    """Run physbench on the videos, and return its result.json. Raises ValueError with what is wrong."""
    videos = named(args.generated_artifact_dir, "WORLDFOUNDRY_GENERATED_ARTIFACT_DIR", "--generated-artifact-dir")
    export = named(args.export, "WORLDFOUNDRY_PHYSBENCH_EXPORT", "--export")
    manifest = export / "manifest.json"
    if not manifest.is_file():
        raise ValueError(f"{export} has no manifest.json: write it with `physbench data export`")
    suite = json.loads(manifest.read_text(encoding="utf-8")).get("suite")
    if not isinstance(suite, dict) or not isinstance(suite.get("name"), str):
        raise ValueError(f"{manifest} names no suite: write it with `physbench data export`")
    name = suite["name"].removesuffix("-prompt-motion")
    run = args.output_dir.resolve() / "run"
    command = [*shlex.split(os.environ.get("PHYSBENCH", "physbench")), "eval", f"videos:{videos}", "--suite", name]
    command += [f"--{option}={suite[option]}" for option in ("tasks", "limit") if suite.get(option) is not None]
    command += ["--prompt-motion"] if name != suite["name"] else []
    command += ["--model-arg", f"export={manifest}", "--model-arg", f"key={export}.key.json"]
    command += ["--out", str(run), "--fresh", *shlex.split(os.environ.get("PHYSBENCH_OPTIONS", ""))]
    result = run / "result.json"
    result.unlink(missing_ok=True)  # of an earlier run
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError:
        raise ValueError(f"there is no program {command[0]!r}: PHYSBENCH is the command of physbench") from None
    print(done.stdout, file=sys.stderr)
    if not result.is_file():
        raise ValueError(f"physbench ended with {done.returncode} and without a result: {shlex.join(command)}")
    return result


def metric_rows(result: Mapping[str, Any], source: Path) -> list[dict[str, Any]]:
    """A row for each metric; one that physbench does not state is unavailable."""
    rows = []
    for metric, (path, name) in METRICS.items():
        value: Any = result
        for key in path:
            value = None if value is None else value.get(key)
        normalized = max(0.0, min(1.0, value)) if value is not None and metric in SKILLS else value
        rows.append(
            {
                "metric_id": metric,
                "name": name,
                "available": value is not None,
                "raw_score": value,
                "normalized_score": normalized,
                "higher_is_better": True,
                "primary": metric == PRIMARY,
                "source_path": str(source),
                **({} if value is not None else {"reason": "physbench states none of these clips: see its report"}),
            }
        )
    return rows


def scorecard_of(source: Path, output: Path, *, executed: bool) -> dict[str, Any]:
    """The scorecard of a result.json. Raises ValueError where the file is none."""
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
        suite, failures, version = result["suite"], result["failures"], result["physbench_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{source} is no result.json of physbench ({type(error).__name__}: {error})") from None
    rows = metric_rows(result, source)
    whole = suite["name"] == "core" and suite.get("complete") is True
    complete = whole and not result.get("partial") and not failures
    available = [row for row in rows if row["available"]]
    card = {
        "schema_version": "worldfoundry-scorecard",
        "official_benchmark_verified": executed and complete,
        "integration_evidence": executed and bool(available),
        "leaderboard_valid": executed and complete and rows[0]["available"],
        "normalizer_only": not executed,
        "normalization_ok": bool(available),
        "run": header("succeeded" if available else "failed"),
        "benchmark": {"benchmark_id": BENCHMARK, "name": "physbench", "version": version, "suite": suite},
        "metrics": {
            "leaderboard": {row["metric_id"]: row["normalized_score"] for row in available},
            "per_metric": {row["metric_id"]: row for row in rows},
            "summary": {
                "available_metric_count": len(available),
                "declared_metric_count": len(rows),
                "primary_metric_id": PRIMARY,
            },
        },
        "evaluation": {"available": bool(available), "kind": "physbench_command" if executed else "physbench_result"},
        "eligibility": {"full_suite_valid": complete, "failures": failures},
        "artifacts": {"scorecard": str(output / "scorecard.json"), "official_results_path": str(source)},
    }
    table = "".join(json.dumps(row) + "\n" for row in rows)
    (output / "raw_metric_table.jsonl").write_text(table, encoding="utf-8")
    contract = {"benchmark_id": BENCHMARK, "metric_ids": list(METRICS), "official_results_path": str(source)}
    write_json(output / "benchmark_contract.json", contract)
    return card


def header(status: str, **more: str) -> dict[str, Any]:
    now = datetime.now(timezone.utc).isoformat()  # noqa: UP017 - it runs on Python 3.10, too
    code = 0 if status == "succeeded" else 1
    return {"status": status, "returncode": code, "started_at": now, "runner": "physbench_official_runner", **more}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    output = args.output_dir.resolve()
    output.mkdir(parents=True, exist_ok=True)
    try:
        source = (
            evaluate(args)
            if args.run_official
            else named(args.official_results_path, "WORLDFOUNDRY_PHYSBENCH_RESULTS_PATH", "--official-results-path")
        )
        card = scorecard_of(source, output, executed=args.run_official)
    except ValueError as error:
        card = {
            "schema_version": "worldfoundry-scorecard",
            **dict.fromkeys(
                ("official_benchmark_verified", "integration_evidence", "leaderboard_valid", "normalization_ok"), False
            ),
            "run": header("failed", error=str(error)),
            "benchmark": {"benchmark_id": BENCHMARK, "name": "physbench"},
            "metrics": {"leaderboard": {}, "per_metric": {}, "summary": {"available_metric_count": 0}},
        }
    if args.strict and not card["leaderboard_valid"]:
        card["run"] |= {"status": "failed", "returncode": 1}
    write_json(output / "scorecard.json", card)
    failed = card["run"]["returncode"]
    if args.json:
        print(json.dumps({"ok": not failed, **card}, indent=2, ensure_ascii=False))
    elif failed:
        print(f"physbench: {card['run'].get('error', 'not all of core was scored')}", file=sys.stderr)
    else:
        print(f"physbench: {card['metrics']['leaderboard']}")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
