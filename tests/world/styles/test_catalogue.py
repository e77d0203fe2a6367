"""Which looks there are, and what says so."""

from __future__ import annotations

import dataclasses
import importlib.util
from dataclasses import replace

import pytest
from made_manifests import made_manifest

from physbench.clips.clip import Row
from physbench.clips.generate import make_clip, make_scene, render_spec
from physbench.clips.store import clip_key
from physbench.models.protocol import ModelCard, StateCard, card_document, card_from, check_card
from physbench.result.compare import require_alike
from physbench.result.task_roles import fixed_kinds, render_class
from physbench.rollout.messages import LoadedModel, shown_in
from physbench.run.options import Options
from physbench.support.errors import ModelError, UsageError
from physbench.support.run_folder import RunFolder
from physbench.world.scene import RenderSpec
from physbench.world.styles.catalogue import check_look, check_pair, look_key
from physbench.world.styles.natural import mitsuba_scene

ROW = Row("orbits/kepler-v1", "test", 0)


def loaded(card: ModelCard, recorded: bool = False) -> LoadedModel:
    where = {"device": "cpu", "device_name": "cpu", "dtype": "float32", "rss": 0, "accelerator": 0}
    return LoadedModel(card=card, privileged=False, recorded=recorded, **where)  # type: ignore[arg-type]


def test_the_look_is_part_of_a_render_spec_and_the_plain_one_changes_no_name() -> None:
    assert str(RenderSpec(64, 128, 15.0)) == "128x64@15"
    assert str(RenderSpec(64, 128, 15.0, "natural")) == "128x64@15-natural"
    assert look_key("plain") == ""


def test_clips_of_two_looks_have_two_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physbench.clips.store.look_key", lambda look: "" if look == "plain" else "code of it")
    scene, specs = make_scene(ROW), (RenderSpec(64, 64, 15.0), RenderSpec(64, 64, 15.0, "natural"))
    first, second = (clip_key(ROW, spec, scene) for spec in specs)
    assert first != second
    monkeypatch.setattr("physbench.clips.store.look_key", lambda look: "" if look == "plain" else "other code")
    assert clip_key(ROW, specs[0], scene) == first and clip_key(ROW, specs[1], scene) != second


def test_the_set_follows_from_the_row_and_not_from_its_change() -> None:
    row = Row("orbits/kepler-thrust-v1", "test", 3)
    scene = make_scene(row)
    assert scene.decor == make_scene(dataclasses.replace(row, change="unpushed")).decor
    assert scene.decor != make_scene(dataclasses.replace(row, split="train")).decor
    assert scene == dataclasses.replace(scene, decor="") and "decor" not in repr(scene)


def test_an_unknown_look_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"no 'naturl'.*natural"):
        check_look("naturl")
    with pytest.raises(UsageError, match="no 'naturl'"):
        Options("baseline:freeze", look="naturl").check()
    with pytest.raises(ModelError, match="look"):
        check_card(ModelCard("m", (64, 64), 15, 4, look="naturl"))


@pytest.mark.parametrize("missing", ["mitsuba", "mitsuba_oidn"])
def test_without_mitsuba_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    there = importlib.util.find_spec

    def find(name: str) -> object:
        return None if name == missing else there("math") if name.startswith("mitsuba") else there(name)

    monkeypatch.setattr(mitsuba_scene.importlib.util, "find_spec", find)
    with pytest.raises(UsageError, match=r"pip install 'physbench\[natural\]'"):
        render_spec(64, 15, "natural")


def test_all_that_sees_pictures_takes_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physbench.world.styles.catalogue.check_look", lambda look: look)
    for model in ("baseline:freeze", "baseline:memory", "saboteur:gravity:0.9"):
        Options(model, look="natural").check()


def test_states_have_no_look() -> None:
    with pytest.raises(ModelError, match="sees no pictures"):
        shown_in(loaded(StateCard("m", fps=15, context_frames=4)), "natural", None)


def test_the_option_has_the_last_word_except_for_recorded_videos() -> None:
    model = loaded(ModelCard("m", (64, 64), 15, 4))
    assert shown_in(model, None, None) is model and shown_in(model, "plain", "far") is model
    assert shown_in(model, "natural", None).card.spec == RenderSpec(64, 64, 15.0, "natural")
    with pytest.raises(ModelError, match="continue clips of the look plain"):
        shown_in(loaded(ModelCard("m", (64, 64), 15, 4), recorded=True), "natural", None)


def test_a_run_remembers_its_look_and_is_not_compared_with_another_one() -> None:
    cards = [ModelCard("m", (64, 64), 15, 8), ModelCard("m", (64, 64), 15, 8, look="natural")]
    documents = [card_document(card) for card in cards]
    assert "look" not in documents[0]
    assert [card_from(document) for document in documents] == cards
    suite = {"name": "core", "version": 2, "hash": "0", "rows": [{"task": ROW.task, "split": "test", "seed": 0}]}
    manifests = [made_manifest({"card": document}, suite, context=8) for document in documents]
    assert [manifest.spec.look for manifest in manifests] == ["plain", "natural"]
    assert fixed_kinds(manifests[0]) is not None and fixed_kinds(manifests[1]) is None  # in it at 256 px alone
    with pytest.raises(UsageError, match="same --look"):
        require_alike(RunFolder("a"), manifests[0], RunFolder("b"), manifests[1])


def test_the_view_is_part_of_a_render_spec_and_ranks_apart() -> None:
    near = render_spec(64, 15, view="near")
    assert str(near) == "64x64@15-near" and near.picture == "near"
    assert RenderSpec(64, 64, 15.0).picture == "plain" and RenderSpec(64, 64, 15.0, "natural").picture == "natural"
    assert render_class(near, 8) == "64 near"
    card = ModelCard("m", (64, 64), 15, 4, view="near")
    assert card.spec == near and card_from(card_document(card)) == check_card(card)
    assert "view" not in card_document(ModelCard("m", (64, 64), 15, 4))
    assert shown_in(loaded(ModelCard("m", (64, 64), 15, 4)), None, "near").card == card
    with pytest.raises(ModelError, match="--view near: the videos of m continue clips of the view far"):
        shown_in(loaded(ModelCard("m", (64, 64), 15, 4), recorded=True), None, "near")


def test_two_views_have_two_keys_and_the_same_states() -> None:
    far, near = make_clip(ROW, render_spec(32, 4)), make_clip(ROW, render_spec(32, 4, view="near"))
    assert far.state_hash == near.state_hash and far.prompt == near.prompt
    assert clip_key(ROW, far.spec, far.scene) != clip_key(ROW, near.spec, near.scene)
    assert (far.frames != near.frames).any()
    assert replace(near.scene, camera=far.scene.camera) == far.scene


def test_a_moving_view_has_the_same_states_and_says_so_in_its_prompt() -> None:
    far, moving = make_clip(ROW, render_spec(32, 4)), make_clip(ROW, render_spec(32, 4, view="moving"))
    assert far.state_hash == moving.state_hash
    assert "Static" in far.prompt and "Static" not in moving.prompt and "The camera sways" in moving.prompt
    assert replace(moving.scene, camera=far.scene.camera) == far.scene
    assert render_class(moving.spec, 8) == "64 moving"


def test_a_view_that_is_not_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--view: there is no 'nera'. Did you mean near"):
        render_spec(64, 15, view="nera")
    for view in ("near", "moving"):
        check_pair("natural", view)
    with pytest.raises(UsageError, match=r"--look: there is no 'natrual'. Did you mean natural"):
        check_pair("natrual", "near")
    with pytest.raises(ModelError, match="expected view to be one of far, near"):
        check_card(ModelCard("m", (64, 64), 15, 4, view="above"))
