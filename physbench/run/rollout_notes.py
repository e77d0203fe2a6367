"""What a run's manifest learns from the batches that are rolled out: times, events, notes, hashes of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from physbench.clips.clip import Row
from physbench.rollouts.batch_plan import BatchItem
from physbench.rollouts.rollout_engine import BatchResult, RolloutEngine
from physbench.run.run_state import Run

MOST_SAID = 5  # events and notes


class RolloutNotes:
    """Writes into the manifest of a run and says the first of what is remarkable."""

    def __init__(self, run: Run, engine: RolloutEngine) -> None:
        self.run, self.engine = run, engine
        self.said = 0  # events and notes
        self.noted = 0  # of the engine's notes

    def write_down(self, result: BatchResult, new: Sequence[BatchItem], states: Mapping[Row, str]) -> None:
        """Times and events of a batch go into the manifest, and which of its new rollouts were made in other batches.

        `regrouped` holds by rollout with how many clips together it was computed, where that are not those of the plan.
        """
        speed = self.run.manifest["speed"]
        before = dict(self.run.manifest.get("regrouped") or {})
        after = {name: number for name, number in before.items() if name not in {item.id for item in new}}
        for item, number in zip(result.batch.items, result.together, strict=False):
            if item in new and number not in (0, len(result.batch.items)):
                after[item.id] = number
        known = self.run.manifest.setdefault("states", {})
        states_here = {item.row.id: states[item.row] for item in result.batch.items if item.row in states}
        if after != before or not states_here.items() <= known.items():
            self.run.manifest["regrouped"] = after
            known |= states_here
            self.run.save_manifest()
        self.run.count_time("model_seconds", result.seconds / self.engine.devices)
        speed["model_frames"] = speed.get("model_frames", 0) + sum(one.steps for one in result.rollouts)
        if result.events:
            self.run.manifest["events"] += [event.document() for event in result.events]
            self.run.save_manifest()
            for event in result.events:
                self.say_once(f"Batch {event.batch + 1}: {event.detail}")

    def note_down(self) -> None:
        """What the model's process remarked since the last batch goes into the manifest."""
        for note in self.engine.notes[self.noted :]:
            self.say_once(note)
            self.run.note(note)
        if self.noted < len(self.engine.notes):
            self.noted = len(self.engine.notes)
            self.run.save_manifest()

    def say_once(self, message: str) -> None:
        """Print the first few events and notes of a model; all of them are in the manifest."""
        self.said += 1
        if self.said <= MOST_SAID:
            self.run.say(message)
        elif self.said == MOST_SAID + 1:
            self.run.say(f"Further events and notes are in {self.run.folder.manifest}.")
