"""report/index.html: one page that opens from a file, with everything inline and no requests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from physbench.report.page_environment import page_environment
from physbench.storage.atomic_write import write_text
from physbench.storage.run_contents import renew
from physbench.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from physbench.report.report_data import ReportData

SCRIPT = (Path(__file__).parent / "templates" / "page.js").read_text(encoding="utf-8")
SCRIPT_HASH = b64encode(sha256(SCRIPT.encode()).digest()).decode()
# No request, and no script but that of the page, whatever names of models and users hold.
INLINE_ONLY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'"


def write_report(
    folder: RunFolder,
    place: Path | None = None,
    result: Mapping[str, Any] | None = None,
    physicist: RunFolder | None = None,
    workers: int = 1,
    anew: bool = False,
    spent: Callable[[], Mapping[str, Any]] | None = None,
    quality: int | None = None,
) -> Path:
    """Write the report of a finished run and return its path, from `result`, else from result.json.

    result.json is built if it is not there yet, or `anew`. With a `place` for the report nothing is written into the
    folder. physicist: a run of `baseline:physicist` on the same clips, drawn beside the references. Raises UsageError
    where that run is not finished or had other conditions. workers: processes that read clips at the same time, and
    while the result is built. spent: of a run that ends with this page, gives its `speed` (`results.schema.Speed`) once
    all else is done. quality: of pictures, 0 to 100 as of WebP, where the page must be small; None: lossless.
    """
    from physbench.report.report_data import clips_read, gather, require_tasks
    from physbench.results.build_result import build_result, write_result
    from physbench.results.read_run import read_run, rows_of, spec_of
    from physbench.results.run_clips import clips_of
    from physbench.results.schema import read_result

    manifest, tables = read_run(folder)
    if physicist is not None:
        from physbench.results.run_comparison import require_physicist

        require_physicist(folder, physicist)
    require_tasks(folder, manifest)
    if not anew:  # else the run has just read them
        clips_of(folder, manifest).ensure(rows_of(manifest), spec_of(manifest))
    with clips_read(folder, manifest, tables, physicist, workers, quality) as clips:
        if result is None and folder.result.is_file() and not anew:
            result = read_result(folder.result).model_dump(mode="json")
        elif result is None:
            result = write_result(folder) if place is None else build_result(folder)
        found = gather(manifest, tables, clips)
        text = render(result if spent is None else {**result, "speed": spent()}, manifest, found)
    place = place or folder.report
    write_text(place, text)
    if place == folder.report:
        renew(folder, place)
    return place


def render(result: Mapping[str, Any], manifest: Mapping[str, Any], gathered: ReportData) -> str:
    """The page. Everything that comes from models and users is escaped by the template engine."""
    from markupsafe import Markup

    from physbench.report import table_view
    from physbench.report.glossary import GLOSSARY
    from physbench.report.page_view import page_view
    from physbench.results import number_format

    environment = page_environment(
        "physbench.report",
        bracket=number_format.bracket,
        counted=number_format.counted,
        drawn=Markup,  # charts, whose texts are escaped where they are drawn
        fixed=number_format.fixed,
        number=number_format.number,
        short=number_format.short,
        unit=number_format.unit,
    )
    return environment.get_template("report.html.j2").render(
        page=page_view(result, manifest, gathered),
        result=result,
        tables=table_view,
        axes=number_format.AXIS_NAMES,
        inline_only=INLINE_ONLY,
        glossary=GLOSSARY,
        script=Markup(SCRIPT),
    )
