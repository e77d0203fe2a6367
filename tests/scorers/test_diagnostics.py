"""Measured laws, appearance and perceptual distance."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import saboteurs as sabotage
import torch
from typer.testing import CliRunner

from physbench.cli.main import run
from physbench.clips.clip import Clip
from physbench.rollout.store import Rollout
from physbench.score.protocol import Observation, Reading, ScoreRow
from physbench.score.score_clip import find_scorers
from physbench.scorers.diagnostics import perceptual
from physbench.support.errors import UsageError
from physbench.track.tracker import track

Clips, Read = Callable[..., Clip], Callable[..., dict[str, ScoreRow]]
FALLING, COLLISIONS, ORBITS = "falling/projectile-v1", "collisions/head-on-v1", "orbits/kepler-v1"


@pytest.mark.parametrize("factor", [1.0, 0.8, 0.5])
def test_gravity_is_measured(clip_of: Clips, read: Read, factor: float) -> None:
    clip = clip_of(FALLING)
    rows = read(clip, sabotage.gravity_times(clip, factor))
    assert rows["laws/gravity"].value == pytest.approx(9.81 * factor, abs=0.05)
    assert rows["laws/gravity.sideways"].value < 0.05


def test_what_hangs_still_shows_no_gravity(clip_of: Clips, read: Read) -> None:
    rows = read(clip_of(FALLING), sabotage.freeze(clip_of(FALLING)))
    assert rows["laws/gravity"].value == pytest.approx(0, abs=0.01)


def test_momentum_across_the_collision(clip_of: Clips, read: Read) -> None:
    clip = clip_of(COLLISIONS)
    rows = read(clip, sabotage.truth(clip))
    assert rows["laws/momentum.change"].value < 0.03
    a, b = (clip.scene.bodies[i] for i in clip.tracked)
    speeds = clip.states[clip.handover, list(clip.tracked), 7:9]
    total, size = (
        a.mass * speeds[0] + b.mass * speeds[1],
        sum(np.linalg.norm(m.mass * v) for m, v in zip((a, b), speeds, strict=True)),
    )
    moment = next(c.time for c in clip.contacts if c.time > 0)
    gain = np.array([0.3, 0.2])
    pushed = read(clip, sabotage.kicked(clip, a.name, (*gain, 0.0), at=moment + 0.05))
    assert pushed["laws/momentum.change"].value == pytest.approx(a.mass * np.linalg.norm(gain) / size, rel=0.25)
    if rows["laws/momentum"].value is not None:
        assert rows["laws/momentum"].value == pytest.approx(1, abs=0.03)
        expected = 1 + a.mass * gain @ total / (total @ total)
        assert pushed["laws/momentum"].value == pytest.approx(expected, abs=0.3 * abs(expected - 1) + 0.03)


@pytest.mark.parametrize("gain", [0.0, 0.1, -0.1])
def test_areal_velocity_and_energy(clip_of: Clips, read: Read, gain: float) -> None:
    """A kick along the motion by a share `gain` of the speed, at the hand-over."""
    clip = clip_of(ORBITS)
    planet = next(i for i in clip.tracked if clip.scene.bodies[i].role == "moving")
    star = next(i for i in clip.tracked if clip.scene.bodies[i].role == "fixed")
    state = clip.states[clip.handover]
    velocity = state[planet, 7:10]
    rows = read(clip, sabotage.kicked(clip, clip.scene.bodies[planet].name, tuple(gain * velocity)))
    mu = clip.scene.fields[0].mu
    depth = mu / np.linalg.norm(state[planet, :3] - state[star, :3])
    kinetic = velocity @ velocity / 2
    energy = (kinetic * (1 + gain) ** 2 - depth) / (kinetic - depth)
    assert rows["laws/areal-velocity"].value == pytest.approx(1 + gain, abs=0.02)
    assert rows["laws/orbit-energy"].value == pytest.approx(energy, abs=0.04)
    assert rows["laws/orbit-energy.spread"].value < 0.15


def test_hue_and_area_of_truth_are_constant_and_of_nothing_are_worst(clip_of: Clips, read: Read) -> None:
    clip = clip_of(COLLISIONS)
    truth, nothing = read(clip, sabotage.truth(clip)), read(clip, sabotage.black(clip))
    assert truth["appearance/hue"].value < 0.5 and truth["appearance/area"].value < 0.02
    assert nothing["appearance/hue"].value == 180 and nothing["appearance/area"].value == 1


def test_lpips_says_why_it_is_missing_and_never_runs_on_a_random_trunk(
    clip_of: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(FALLING)
    tracks = track(clip, 1, clip.frames[clip.window(1)])

    def answer() -> Reading:
        perceptual.why_unavailable.cache_clear()
        found = perceptual.lpips.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
        assert isinstance(found, Reading) and (found.status, found.value) == ("unavailable", None)
        return found

    monkeypatch.setattr(perceptual, "trunk_file", lambda: tmp_path / perceptual.TRUNK)
    monkeypatch.setattr(perceptual, "_network", lambda: pytest.fail("constructed without weights"))
    try:
        monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
        assert "not installed" in answer().reason
        monkeypatch.setattr(perceptual, "find_spec", lambda _: object())
        assert answer().reason.startswith("weights: ")
        (tmp_path / perceptual.TRUNK).write_bytes(b"not what the name says")
        assert "damaged" in answer().reason
    finally:
        perceptual.why_unavailable.cache_clear()


ALEXNET = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of the layout that torchvision publishes, with the hash that its name says, and a cache of its own."""
    torch.manual_seed(0)
    layers = {f"features.{k}.weight": torch.randn(a, b, c, c) / 20 for k, (a, b, c) in ALEXNET.items()}
    layers |= {f"features.{k}.bias": torch.randn(a) / 20 for k, (a, _, _) in ALEXNET.items()}
    layers |= {f"classifier.{k}.weight": torch.zeros(2, 2) for k in (1, 4, 6)}
    path = tmp_path / "published.pth"
    torch.save(layers, path)
    name = f"alexnet-owt-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    monkeypatch.setattr(perceptual, "TRUNK", name)
    monkeypatch.setattr(perceptual, "TRUNK_URL", path.as_uri())
    monkeypatch.setenv("PHYSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    caches = (perceptual.why_unavailable, perceptual._network)
    for each in caches:
        each.cache_clear()
    yield path
    for each in caches:
        each.cache_clear()


@pytest.mark.parametrize("given", [True, False])
def test_weights_are_fetched_once_and_their_hash_is_checked(
    published: Path, given: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """From where they are published, or from a copy; a file without its end, or another one, is not taken.

    Reports of weights that were cut off, this very file among them: XPixelGroup/DiffBIR#95, pytorch/vision#607.
    """
    place = perceptual.kept_trunk()
    assert perceptual.trunk_file() != place and not place.exists()
    words = ["scorers", "fetch", "lpips", *(["--from", str(published)] if given else [])]
    assert run(words) == 0
    assert capsys.readouterr().out == f"{place}\n" and perceptual.trunk_file() == place
    whole = published.read_bytes()
    assert place.read_bytes() == whole
    published.write_bytes(whole[:-1])
    if given:
        assert run(words) == 2
        assert "is not torchvision's" in capsys.readouterr().err
    else:
        assert run(words) == 0, "they are there: nothing is fetched"
    assert place.read_bytes() == whole
    place.unlink()
    assert run(words) == 2 and not place.exists() and not list(place.parent.iterdir())


def test_weights_that_cannot_be_fetched_are_named_with_the_way_around(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.unlink()
    assert run(["scorers", "fetch", "lpips"]) == 1
    assert "cannot be fetched" in (said := capsys.readouterr().err) and "scorers fetch lpips --from FILE" in said
    assert run(["scorers", "fetch", "lpips", "--from", str(published)]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert run(["scorers", "fetch", "gravity"]) == 2
    assert "no scorer of this name needs weights" in capsys.readouterr().err


def test_lpips_stands_on_the_weights_of_torchvision(published: Path, clip_of: Clips) -> None:
    """Against the package's own network, into which torchvision has put the same weights; 0 for ground truth."""
    package = pytest.importorskip("lpips")
    perceptual.fetch_trunk(published)
    layers = torch.load(published, weights_only=True)
    theirs = package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    with torch.no_grad():
        for layer in ALEXNET:
            (part,) = (s for s in theirs.net.children() if str(layer) in dict(s.named_children()))
            getattr(part, str(layer)).weight.copy_(layers[f"features.{layer}.weight"])
            getattr(part, str(layer)).bias.copy_(layers[f"features.{layer}.bias"])
    pair = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(perceptual._network()(*pair), theirs(*pair))
    clip = clip_of(FALLING)
    tracks = track(clip, 1, clip.frames[clip.window(1)])
    same = perceptual.lpips.read(Observation(clip, Rollout(clip.id, 0, clip.future()), tracks))
    other = perceptual.lpips.read(Observation(clip, Rollout(clip.id, 0, 255 - clip.future()), tracks))
    assert same.value == 0 and other.value > 0.01


def test_the_layers_of_the_trunk_are_found_by_their_published_names() -> None:
    published = {f"features.{k}.{kind}": (k, kind) for k in ALEXNET for kind in ("weight", "bias")}
    found = perceptual.trunk_layers({**published, "classifier.6.bias": 0})
    assert sorted(found.values()) == sorted(published.values()) and found["slice2.3.bias"] == (3, "bias")


def test_the_commands_list_and_show_scorers() -> None:
    from physbench.cli.scorers import app

    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0
    assert listed.output.index("consistency/shadowing") < listed.output.index("laws/gravity")
    shown = CliRunner().invoke(app, ["show", "shadowing"])
    assert "lawful segments" in shown.output and "noise floor" in shown.output
    assert "breaks at" not in shown.output and "precheck" not in shown.output
    declared = " ".join(CliRunner().invoke(app, ["show", "gravity"]).output.split())
    for row in (
        "phrase gravity {}",
        "phrase of sideways sideways pull {}",
        "breaks at a difference of 0.3 m/s2 from ground truth",
        "needs constants its own: left out where the context does not show every constant",
        "needs motions, free_segments",
        "precheck Not applicable without gravity in the plane of motion.",
    ):
        assert row in declared


@pytest.mark.parametrize(
    ("asked", "offered"),
    [("foo*", "laws/*"), ("laws", "Did you mean 'laws/*'?"), ("gravty", "laws/gravity"), ("forcelaw*", "force-law")],
)
def test_a_glob_that_fits_nothing_is_refused_with_what_there_is(asked: str, offered: str) -> None:
    with pytest.raises(UsageError, match=f"no scorer named '{re.escape(asked)}'") as refused:
        find_scorers(asked)
    assert offered in str(refused.value) and len(str(refused.value)) < 200


def test_every_scorer_says_what_truth_reads() -> None:
    for scorer in find_scorers():
        assert re.search(r"\d", scorer.noise_floor), scorer.id
        assert scorer.quality is None or scorer.axis is not None
        assert scorer.axis is not None or "Outside every mean." in " ".join(scorer.doc.split()), scorer.id
