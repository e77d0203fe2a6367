"""Options of a look: what a name may say, and that clips of two options never mix."""

from __future__ import annotations

import pytest

from physbench.clips.clip import Row
from physbench.clips.generate import make_scene
from physbench.clips.store import clip_key
from physbench.models.protocol import ModelCard, card_document, card_from, check_card
from physbench.support.errors import ModelError, UsageError
from physbench.world.scene import RenderSpec
from physbench.world.styles.look_options import LOOKS, OPTIONS, base_look, look_named, look_options, requested_effects

ROW = Row("orbits/kepler-v1", "test", 0)
FILMED = "natural:shutter=90,noise=1.5"


def test_a_look_says_its_options_and_the_usual_is_none() -> None:
    assert look_options("plain") == {} and look_options("natural") == {"shutter": 180.0, "noise": 0.0}
    assert look_options(FILMED) == {"shutter": 90.0, "noise": 1.5}
    assert look_options("natural:shutter=0") == {"shutter": 0.0, "noise": 0.0}
    assert base_look(FILMED) == "natural" and LOOKS == ("plain", "natural")
    assert look_named("natural", {"noise": 0.0, "shutter": 180.0}) == look_named("natural", {}) == "natural"
    assert look_named("natural", {"shutter": 0.0}) == "natural:shutter=0"
    assert all(option.help and option.most > 0 for options in OPTIONS.values() for option in options.values())


def test_an_effect_is_asked_for_where_it_is_neither_usual_nor_none() -> None:
    assert not any(map(requested_effects, ("plain", "natural", "natural:shutter=0")))
    assert requested_effects(FILMED) == {"shutter": 90.0, "noise": 1.5}
    assert requested_effects("natural:shutter=0,noise=1") == {"noise": 1.0}


@pytest.mark.parametrize(
    ("look", "problem"),
    [
        ("naturl:shutter=180", "no 'naturl'.*natural"),
        ("natural:shuter=180", "no option 'shuter'.*Did you mean shutter"),
        ("plain:noise=1", "the look plain has no option 'noise'"),
        ("natural:", "no option ''"),
        ("natural:shutter=400", "0 or a number from 0.01 to 360"),
        ("natural:shutter=0,shutter=90", "shutter is given twice"),
        ("natural:noise=0.00001", "from 0.01 to 4"),
        ("natural:noise=nan", "from 0.01 to 4"),
        ("natural:noise=much", "got 'much'"),
        ("natural:noise=1,shutter=90", "Write natural:shutter=90,noise=1"),
        ("natural:shutter=90.0", "Write natural:shutter=90"),
        ("natural:shutter=180", r"Write natural\."),
        ("natural:noise=0", r"Write natural\."),
    ],
)
def test_a_look_that_is_no_look_is_refused(look: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        look_options(look)
    with pytest.raises(ModelError, match=problem):
        check_card(ModelCard("m", (64, 64), 15, 4, look=look))


def test_clips_of_two_options_have_two_keys_two_folders_and_two_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physbench.world.styles.natural.frames.variant_names", lambda: "as everywhere")
    scene, looks = make_scene(ROW), ("natural", "natural:shutter=0", "natural:noise=1.5", FILMED)
    specs = [RenderSpec(64, 64, 15.0, look) for look in looks]
    assert len({clip_key(ROW, spec, scene) for spec in specs}) == len(looks)
    assert len({str(spec) for spec in specs}) == len({spec.picture for spec in specs}) == len(looks)
    card = check_card(ModelCard("m", (64, 64), 15, 4, look=FILMED))
    assert card.spec == specs[-1] and card_from(card_document(card)) == card
