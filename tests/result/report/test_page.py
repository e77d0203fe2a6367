"""The page: self-contained, escaped, accessible, small, and the same again."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_runs import built_once
from runs_on_disk import gathered

import physbench.result.report
from physbench.baselines.baseline_adapter import baseline_card
from physbench.result.document import ImpliedWorldResult
from physbench.result.formats import AXIS_NAMES, bracket, fixed
from physbench.result.manifest import FreshSeeds, read_manifest
from physbench.result.read import read_run
from physbench.result.report import data as report_data
from physbench.result.report.data import ReportData
from physbench.result.report.page import (
    GLOSSARY,
    INLINE_ONLY,
    SCRIPT,
    by_family,
    first_family,
    implied_words,
    physicist_command,
    render,
    settings,
    write_report,
)
from physbench.result.report.summary import summary_view
from physbench.result.report.tables import gained_and_lost, skill_rows
from physbench.score.protocol import AXES
from physbench.support.errors import UsageError
from physbench.support.run_folder import RunFolder

STYLE = Path(physbench.result.report.__file__).parent / "templates" / "report.css"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.source = text
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def written(small_run: RunFolder) -> str:
    return write_report(small_run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(written: str) -> Page:
    return Page(written)


def test_nothing_is_asked_from_anywhere(page: Page, written: str) -> None:
    assert not [tag for tag, _ in page.found if tag in ("link", "iframe", "object", "embed")]
    assert page.all("script") == [{}], "one, inline"
    for _, attributes in page.found:
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,", "data:image/webp;base64,"))
        assert not [name for name in attributes if name.startswith("on")]
    assert "@import" not in written
    addresses = set(re.findall(r"https?://[^\s\"'<]+", written))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert not re.findall(r"url\((?!#)", written)


def test_only_the_script_of_the_page_may_run(written: str) -> None:
    """The policy names its hash: no other script runs, whatever text of a model or user slips onto the page."""
    (script,) = re.findall(r"<script>(.*?)</script>", written, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html.unescape(written)
    assert script == SCRIPT and f"script-src 'sha256-{digest}'" in INLINE_ONLY
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp", script)


def test_strings_of_models_are_escaped(page: Page, written: str, kit) -> None:
    assert written.count("<script") == 1
    assert "toy <script>alert(1)</script>" in "".join(page.text)
    assert kit.FAILURE not in written
    assert kit.FAILURE in "".join(page.text)


def test_the_sentences_come_first(page: Page, small_run: RunFolder) -> None:
    text = " ".join("".join(page.text).split())
    sentences = json.loads(small_run.result.read_text(encoding="utf-8"))["sentences"]
    places = [text.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert places[-1] < text.index("overall skill") < text.index("Skill by family")
    assert "A look, not a score: 2 clips a task" in text


def test_pictures_have_words(page: Page) -> None:
    pictures = [a for a in page.all("svg") if a.get("aria-hidden") != "true"]
    assert (
        len(pictures) == 3 + 4 + 2 * 8 - 2
    )  # axes, families, strips; one failed clip leaves its task a worst one only
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in pictures)
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in page.all("div") if a.get("class") == "scroll")
    assert all(len(a["alt"]) > 20 and a["width"] and a["height"] for a in page.all("img"))
    assert not page.all("img")
    canvases = page.all("canvas")
    assert len(canvases) == 7 and all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in canvases)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1


def test_ids_are_unique_and_references_lead_somewhere(page: Page, written: str) -> None:
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", written)) | set(re.findall(r'href="#([^"]+)"', written))
    wanted |= {a["aria-labelledby"] for a in page.all("section")}
    wanted |= {a["aria-describedby"] for a in page.all("a") if "aria-describedby" in a}
    assert wanted <= set(ids)


def test_charts_are_well_formed_and_take_the_colours_of_the_page(written: str) -> None:
    charts = re.findall(r'<svg class="chart".*?</svg>', written, flags=re.DOTALL)
    assert len(charts) == 7
    for chart in charts:
        ElementTree.fromstring(chart)
        assert "var(--model)" in chart
        left = set(re.findall(r"#[0-9a-f]{6}", chart)) - {"#ffffff"}
        assert not left


def test_headings_are_in_order_and_parts_have_names(page: Page) -> None:
    """What a browser is not needed for: landmarks, headings that skip no level, names of all controls."""
    assert [len(page.all(tag)) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    assert [a["aria-label"] for a in page.all("nav")] == ["Contents"]
    ranges = [a for a in page.all("input") if a.get("type") == "range"]
    assert len(ranges) == 7 and all(a["aria-label"].startswith("Time in ") for a in ranges)
    assert all(a["type"] == "button" for a in page.all("button"))
    assert all("aria-label" in a for a in page.all("button") if a["class"] in ("back", "on"))
    assert all(re.findall(r"<button[^>]*>([^<]*)</button>", page.source)), "each has a text of its own"
    assert page.source.count("<label>speed <select>") == len(page.all("select")) == 7
    assert all(a["aria-label"] for a in page.all("div") if a.get("role") in ("region", "group"))


def test_contents_lead_to_every_section(page: Page) -> None:
    (start,) = (i for i, (tag, _) in enumerate(page.found) if tag == "nav")
    links = list(takewhile(lambda each: each[0] == "a", page.found[start + 1 :]))
    there = {attributes["href"][1:] for _, attributes in links}
    assert {a["aria-labelledby"] for a in page.all("section")} <= there
    assert there <= {a["id"] for _, a in page.found if "id" in a}


def test_terms_are_explained_to_those_who_hover_and_those_who_do_not(page: Page) -> None:
    terms = [a for a in page.all("a") if a.get("class") == "term"]
    assert {a["aria-describedby"] for a in terms} >= {
        f"g-{key}" for key in ("skill", *AXES, "kept", "break", "handover")
    }
    assert all(a["href"] == f"#{a['aria-describedby']}" for a in terms), "focused by a keyboard, followed by touch"
    assert all(f"<dt>{name}</dt>" in page.source for name, _ in GLOSSARY.values())
    assert {"reading", "accuracy", "stability", "informative", "guard"} <= GLOSSARY.keys()
    assert all(f'"{event}"' in SCRIPT for event in ("mouseenter", "focus", "blur", "keydown"))


def test_the_worst_family_comes_first_and_is_open(small_run: RunFolder) -> None:
    result, manifest = built_once(small_run, resamples=50), read_manifest(small_run)
    shown = gathered(small_run, manifest, read_run(small_run)[1])
    for family in ("falling", "orbits"):
        first = by_family(shown.figures, family)
        assert first[0].name == family and [each.open for each in first] == [True] + [False] * (len(first) - 1)
    assert result.findings[0].kind == "too few clips" and not result.findings[0].family
    worst = "orbits"
    result = result.model_copy(update={"findings": [result.findings[0].model_copy(update={"family": worst})]})
    assert first_family(result) == worst
    page = render(result, manifest, shown)
    clips, charts = page.index('id="clips"'), page.index('id="time"')
    assert re.search(r"<summary>(\w+):", page[clips:])[1].lower() == worst
    assert re.search(r"<h3>(\w+)</h3>", page[charts:])[1].lower() == worst


def test_one_name_for_each_axis(written: str) -> None:
    """Drift was called stability and long-horizon stability, too."""
    seen = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", written, flags=re.DOTALL)
    assert not re.search(r"long-horizon stability|>stability<|>consistency<|>permanence<", seen, re.IGNORECASE)
    assert all(name in seen for name in AXIS_NAMES.values())
    assert "more is better" in seen[: seen.index('id="axes"')], "said where an axis called drift is first shown"


def test_every_clip_is_explained(page: Page) -> None:
    text = " ".join("".join(page.text).split())
    assert "is off by more than its diameter at" in text
    assert "is missing from" in text
    assert "1 of 8 clips failed and count as 0 in every mean." in text
    assert "appearance/lpips unavailable: weights" in text.replace("lpipsun", "lpips un")


def test_no_space_stands_for_a_unit(written: str) -> None:
    assert "<b>" in written and " </b>" not in written


def test_the_page_is_small_and_the_same_again(written: str, small_run: RunFolder) -> None:
    assert len(written) < 1_000_000
    assert write_report(small_run).read_text(encoding="utf-8") == written


@pytest.mark.slow
def test_clips_that_are_read_in_workers_make_the_same_page(
    written: str, small_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: object) -> None:
        raise AssertionError("read in this process")

    monkeypatch.setattr(report_data, "CLIPS_A_JOB", 1)
    monkeypatch.setattr(report_data, "clip_errors", here)
    assert write_report(small_run, workers=2).read_text(encoding="utf-8") == written


def test_a_run_of_failures_alone_shows_no_skill(make_run, kit) -> None:
    folder = make_run(2, 0, suite="smoke")
    clips = set(pd.read_parquet(folder.scores)["clip"])
    folder = make_run(2, 0, suite="smoke", failed=frozenset(clips), name="failed")
    text = write_report(folder).read_text(encoding="utf-8")
    page = Page(text)
    said = " ".join("".join(page.text).split())
    assert "No clip could be scored: all 8 failed." in said
    assert "overall skill" not in said and "Skill by family" not in said and "Error over time" not in said
    assert not page.all("canvas") and 'class="heat"' not in text
    assert said.count(kit.FAILURE) == 8


def test_what_is_kept_does_not_read_as_a_failure(make_run) -> None:
    folder = make_run()
    scores = pd.read_parquet(folder.scores)
    kept = (scores["reading"] == "permanence/intact") & (scores["task"] != "occlusion/screen-pass-v1")
    lost = kept & (scores["task"] == "orbits/kepler-v1")
    scores.loc[kept, ["value", "quality"]] = 1.0
    scores.loc[lost, ["value", "quality"]] = 0.7
    scores.to_parquet(folder.scores)
    lines = {line.name: line.cells[2] for line in skill_rows(built_once(folder, resamples=100))}
    assert (lines["falling: projectile"].text, lines["falling: projectile"].tone) == ("kept", "kept")
    assert (lines["orbits: kepler"].text, lines["orbits: kepler"].note) == ("−0.29", "lost")  # 0.7 of the 0.99 of truth
    assert lines["occlusion: screen-pass"].tone == "good"
    assert lines["all families"].text == fixed(built_once(folder, resamples=100).axes["permanence"].skill)


def test_what_a_family_gains_and_loses_is_written_one_way() -> None:
    for parts, words in (
        ((0.64, None), "0.64"),
        ((0.64, -0.001), "0.64"),
        ((0.06, -0.05), "0.06 −0.05 lost"),
        ((None, -0.31), "−0.31 lost"),
        ((None, -0.001), "kept"),
        ((None, None), "–"),
    ):
        assert gained_and_lost(*parts) == words


def test_the_interval_over_tasks_stands_beside_that_over_clips(make_run) -> None:
    falling = tuple(f"falling/{name}-v1" for name in ("projectile", "drop", "wall-bounce"))
    folder = make_run(8, 0, tasks=(*falling, "orbits/kepler-v1"))
    result, manifest = built_once(folder, resamples=100), read_manifest(folder)
    page = render(result, manifest, ReportData((), {}, ()))
    table = page[page.index("Other clips, other tasks") :]
    table = table[: table.index("</table>")]
    for axis in ("consistency", "drift"):
        found = result.families["falling"][axis]
        assert bracket(found.skill_interval) in table and bracket(found.tasks_interval) in table
    assert table.count("<tr>") == 1 + 2 and "orbits" not in table
    few = render(built_once(make_run(8, 0, name="few"), resamples=100), manifest, ReportData((), {}, ()))
    assert "Other clips, other tasks" not in few


def test_the_gap_between_splits_is_shown(make_run) -> None:
    folder = make_run()
    scores = pd.read_parquet(folder.scores)
    worse = (scores["split"] == "ood") & (scores["reading"] == "drift/accuracy") & scores["task"].str.startswith("orb")
    scores.loc[worse, ["value", "quality"]] -= 0.3
    scores.to_parquet(folder.scores)
    result = built_once(folder, resamples=400)
    gap = result.gaps["orbits"]["drift"]
    test, ood = (result.tasks["orbits/kepler-v1"]["drift"].splits[s].quality for s in ("test", "ood"))
    assert gap.gap == pytest.approx(test - ood, abs=2e-6)
    assert gap.interval[0] > 0.15
    assert gap.truth == pytest.approx(0, abs=1e-6)
    assert result.gaps["falling"]["drift"].interval[0] < 0.1
    assert result.gaps["all"]["drift"].gap == pytest.approx(
        np.mean([result.gaps[family]["drift"].gap for family in result.families]), abs=2e-6
    )
    assert built_once(make_run(9, 0, name="one"), resamples=100).gaps == {}


def test_the_best_of_k_stands_beside_the_mean(make_run) -> None:
    folder = make_run(9, 0)
    one = pd.read_parquet(folder.scores)
    worse = one.assign(sample=1, quality=one["quality"] * 0.5)
    pd.concat([one, worse]).sort_values(["task", "seed", "sample"]).to_parquet(folder.scores)
    result = built_once(folder, resamples=100)
    alone = built_once(make_run(9, 0, name="alone"), resamples=100)
    assert result.best_of.samples == 2
    assert result.best_of.overall == pytest.approx(alone.overall.skill, abs=1e-6)
    assert result.overall.skill < result.best_of.overall
    assert alone.best_of is None
    shown = summary_view(result).distribution
    assert shown.startswith("2 samples a clip: CRPS in diameters –, ") and "lawful samples" in shown
    assert "(truth 0.00). No clip has a CRPS." in shown
    assert summary_view(alone).distribution == ""


def test_the_command_that_adds_the_physicist_is_one_under_the_conditions_of_the_run(make_run) -> None:
    manifest = read_manifest(make_run(2, 0))
    assert physicist_command(manifest) == (
        "physbench eval baseline:physicist --suite core --model-arg size=64 --model-arg fps=15 --model-arg context=8 "
        "--out PHYSICIST && physbench report RUN --physicist PHYSICIST"
    )
    other = manifest.model_copy(deep=True)
    other.model.card = replace(manifest.card, image_size=(64, 96), fps=7.5)
    other.options.tasks, other.options.limit, other.context = "[fo]*", 8, 1
    own, _, adds = physicist_command(other).partition(" && ")
    assert "--tasks '[fo]*' --limit 8 --model-arg size=96x64 --model-arg fps=7.5 --model-arg context=1" in own
    arguments = dict(re.findall(r"--model-arg (\w+)=(\S+)", own))
    asked = baseline_card("physicist", arguments)
    assert (list(asked.image_size), asked.fps, asked.context_frames) == ([64, 96], 7.5, 1)
    assert adds == "physbench report RUN --physicist PHYSICIST"
    manifest.suite.fresh = FreshSeeds(salt="secret")
    assert "--suite core --fresh-seeds RUN --model-arg" in physicist_command(manifest), "on the same clips"
    manifest.model.target = "baseline:physicist"
    assert physicist_command(manifest) == ""


def test_what_an_adapter_says_of_its_model_is_among_the_settings(small_run: RunFolder) -> None:
    manifest = read_manifest(small_run)
    result = built_once(small_run)
    plain = settings(result, manifest)
    manifest.model.settings = {"scheduler": "Euler", "calls": "steps=4"}
    assert [pair for pair in settings(result, manifest) if pair not in plain] == [
        ("scheduler", "Euler"),
        ("calls", "steps=4"),
    ]


def test_contrast_in_light_and_dark() -> None:
    """WCAG: 4.5 for text, 3 for lines that carry meaning."""
    import physbench.result.report

    css = (Path(physbench.result.report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)
    ]
    assert len(schemes) == 2

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for scheme in schemes:
        for name in ("ink", "soft", "model", "bad"):
            assert contrast(scheme[name], scheme["paper"]) >= 4.5, name
        for channels in re.findall(r"--(?:good|bad)-rgb: ([0-9 ]+);", css):  # cells at their strongest, in both schemes
            assert len(channels.split()) == 3
        for name in ("freeze", "cv", "truth"):
            assert contrast(scheme[name], scheme["paper"]) >= 3, name


def test_an_unfinished_run_has_no_report(make_run) -> None:
    folder = make_run()
    folder.scores.unlink()
    with pytest.raises(UsageError, match="not finished"):
        write_report(folder)
    assert not folder.report.exists()


def test_no_rule_of_the_style_sheet_stands_twice() -> None:
    """A second rule for a whole kind of element would override the first everywhere."""
    sheet = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", STYLE.read_text(encoding="utf-8"))
    selectors = [" ".join(found.split()) for found in re.findall(r"([^{}]+)\{", sheet)]
    assert not [selector for selector, many in Counter(selectors).items() if many > 1]
    assert ".clip details" in selectors and "details" in selectors


def world(verdict: str) -> ImpliedWorldResult:
    """What the diagnosis of a family says."""
    law = {"id": "gravity", "short": "gravity", "phrase": "gravity were 0.90 times as strong", "unit": "", "seen": ""}
    law |= {"value": 0.9, "interval": None, "true": 1.0}
    found = {"clips": 12, "unexplained": 0.4, "verdict": verdict, "laws": [law] if verdict == "named" else []}
    return ImpliedWorldResult(**found, share=0.8, interval=None, alike=[], ranking={})


def test_families_that_nothing_explains_are_said_in_one_sentence() -> None:
    none, lawful = world("no simple law"), world("lawful")
    every = dict.fromkeys(("collisions", "falling", "occlusion", "orbits"), none)
    assert implied_words(every) == ("No single changed law explains collisions, falling, occlusion and orbits.",)
    assert implied_words({**every, "occlusion": lawful}) == (
        "No single changed law explains collisions, falling and orbits; the true laws explain occlusion.",
    )
    named, rest = implied_words({**every, "falling": world("named")})
    assert named.startswith("Falling: as if gravity were 0.90 times as strong (explains 80 %")
    assert rest == "No single changed law explains collisions, occlusion and orbits."
    assert implied_words({"orbits": lawful}) == ("The true laws explain orbits.",) and implied_words({}) == ()
