"""A submission: what its submitter says of a model, its file, and how it is committed to and revealed."""

from __future__ import annotations

import errno
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from physbench.leaderboard.check_tables import check_clips
from physbench.leaderboard.claim import Claim, read_claim
from physbench.leaderboard.commitment import (
    CHALLENGE,
    COMMITMENT,
    Challenge,
    Commitment,
    CommittedRollout,
    chosen_rollouts,
    read_challenge,
)
from physbench.leaderboard.eligibility import of_claim, refuse_other_suite, refuse_unmeasurable, refuse_unrankable
from physbench.leaderboard.rescoring import rollout_name, sent_files, stored_rollout
from physbench.result.read import REFERENCE_MODELS, read_run
from physbench.rollout.answers import answers_of
from physbench.rollout.store import load_rollout
from physbench.support.errors import UsageError
from physbench.support.files import DAMAGED_ARCHIVE, atomic_path, file_sha256, write_json
from physbench.support.run_folder import RunFolder


@dataclass(frozen=True)
class SubmissionBounds:
    """The most that a submission may hold and say."""

    characters: int = 300  # of a text
    parameters: int = 10**15
    files: int = 100_000
    bytes: int = 8 << 30  # of all files together


SENT = SubmissionBounds()


LINKS = ("paper", "code", "weights")


@dataclass(frozen=True)
class Submission:
    """Submitter of an entry, and links to its model; "" and None: not stated."""

    submitter: str = ""
    paper: str = ""
    code: str = ""
    weights: str = ""
    parameters: int | None = None  # of the model

    @property
    def links(self) -> dict[str, str]:
        """The links that are given, by what they lead to."""
        return {name: getattr(self, name) for name in LINKS if getattr(self, name)}

    def check(self) -> None:
        """Raise UsageError where a text is too long or not printable, or a link is none that a page may hold."""
        for name in ("submitter", *LINKS):
            text = getattr(self, name)
            if not isinstance(text, str) or len(text) > SENT.characters or not text.isprintable():
                raise UsageError(f"--{name}: expected at most {SENT.characters} printable characters.")
        for name, link in self.links.items():
            if not _leads_to_a_page(link):
                raise UsageError(f"--{name}: expected a link such as https://example.org/{name}, got '{link}'.")
        whole = self.parameters is None or (isinstance(self.parameters, int) and not isinstance(self.parameters, bool))
        if not whole:
            raise UsageError(f"--parameters: expected a whole number, got {self.parameters!r}.")
        if self.parameters is not None and not 1 <= self.parameters <= SENT.parameters:
            raise UsageError(f"--parameters: expected a number from 1 to {SENT.parameters:.0e}, got {self.parameters}.")


def _leads_to_a_page(link: str) -> bool:
    """True if a link is one of the web: no script, no file."""
    try:
        parts = urlsplit(link)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and not set(link) & set(" \"'<>\\")
    except ValueError:
        return False


def parameter_count(text: str) -> int:
    """ "1300000000", "1.3e9", "1.3B", "350M" -> a number of parameters. Raises UsageError: it is no number.

    >>> parameter_count("1.3B")
    1300000000
    """
    scale = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}.get(text[-1:].lower(), 1.0)
    try:
        return round(float(text if scale == 1 else text[:-1]) * scale)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--parameters: expected a number such as 350M or 1.3e9, got '{text}'.") from error


def short_count(count: int) -> str:
    """ "350M", "1.3B".

    >>> short_count(1_300_000_000)
    '1.3B'
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if round(count / size, 3) >= 1:
            return f"{count / size:.3g}{letter}"
    return str(count)


# A submission as one file: a zip of what a run found, without compression, links or folders; the same bytes each time.
#
#     manifest.json  result.json  scores.parquet  references/FILE_NAME/scores.parquet  tracks/CLIP.SAMPLE.npz
#     commitment.json                             hashes of these files and of all rollouts
#     challenge.json  rollouts/CLIP.SAMPLE.mkv    once the board has chosen which rollouts it wants to see
#
# The files have the names that they have in a run folder, so that a submission is read as a run is.

FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
SENT_NAMES = re.compile(
    rf"(manifest|result|commitment|challenge)\.json|scores\.parquet|references/({'|'.join(REFERENCE_MODELS)})/scores\.parquet"
    rf"|tracks/{FILE_NAME}\.npz|rollouts/{FILE_NAME}\.(mkv|npz)"
)


def write_archive(path: Path, files: Mapping[str, Path]) -> None:
    """Write files under their names into one archive, whole or not at all."""
    with atomic_path(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            if not SENT_NAMES.fullmatch(name):
                raise ValueError(f"{name} is no part of a submission.")
            # the date of every file: an archive depends on nothing but their content
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr, info.create_system = 0o644 << 16, 3
            with files[name].open("rb") as source, archive.open(info, "w", force_zip64=False) as target:
                shutil.copyfileobj(source, target)


@contextmanager
def opened_submission(path: Path) -> Iterator[RunFolder]:
    """The files of an archive in a folder of their own, while the block lasts; a folder is given as it is.

    Raises UsageError where there is nothing, or an archive holds anything else than a submission does.
    """
    if path.is_dir():
        yield RunFolder(path)
        return
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file. Expected a submission, or the folder of a run.")
    with tempfile.TemporaryDirectory(prefix="physbench-") as place:
        _unpack(path, Path(place))
        yield RunFolder(Path(place))


def _unpack(path: Path, place: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            items = archive.infolist()
            _refuse(path, items)
            for item in items:
                target = place / item.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(item) as source, target.open("xb") as copy:
                    shutil.copyfileobj(source, copy)
    except DAMAGED_ARCHIVE as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a place before the start of the file
            raise
        raise UsageError(f"{path}: is not a submission that can be read ({type(error).__name__}: {error}).") from error


def _refuse(path: Path, items: list[zipfile.ZipInfo]) -> None:
    """Raise UsageError for an archive with anything in it that a submission does not have, before it is unpacked."""
    if len(items) > SENT.files or sum(item.file_size for item in items) > SENT.bytes:
        raise UsageError(f"{path}: holds more than {SENT.files} files or {SENT.bytes >> 30} GB.")
    names = [item.filename.lower() for item in items]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: holds a file twice.")
    for item in items:
        if not SENT_NAMES.fullmatch(item.filename):
            raise UsageError(f"{path}: holds {item.filename[:120]!r}, which is no part of a submission.")
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or item.flag_bits & 1:
            raise UsageError(f"{path}: {item.filename} is encrypted, or packed in a way that is not read.")


def commit(run: RunFolder, out: Path) -> Commitment:
    """Write the submission of a finished run: what it found, and the hashes of all rollouts. The run is not changed.

    Raises UsageError where the run is not finished, is none that boards rank, or has not kept its rollouts as they were
    made.
    """
    claim = _claim(run)
    with TemporaryDirectory() as place:
        files, commitment = _committed(run, claim, Path(place))
        write_archive(out, files)
    return commitment


def reveal(run: RunFolder, challenge: Path, out: Path) -> Challenge:
    """Write the submission again, with the rollouts that a board has asked for.

    Raises UsageError where the challenge is for another run, or the run has changed since its commitment.
    """
    claim, answer = _claim(run), read_challenge(challenge)
    with TemporaryDirectory() as place:
        files, commitment = _committed(run, claim, Path(place))
        if answer.commitment != commitment.id or answer.rollouts != chosen_rollouts(commitment, answer.seed):
            raise UsageError(
                f"{challenge}: is the answer to another commitment than that of {run.path}. Was the run scored again "
                "since? Then commit again, and ask for another challenge."
            )
        files[CHALLENGE] = Path(place) / CHALLENGE
        write_json(files[CHALLENGE], answer.model_dump(mode="json"))
        for row in claim.suite.rows:
            for sample in range(claim.samples):
                if rollout_name(row.id, sample) in answer.rollouts:
                    path = answers_of(claim.card).file(run, row.id, sample)
                    files[f"rollouts/{path.name}"] = path
        write_archive(out, files)
    return answer


def _claim(run: RunFolder) -> Claim:
    """Claim of the run. Raises UsageError where it is not finished, or no board of this version takes it."""
    manifest, tables = read_run(run)
    refuse_other_suite(run.path, manifest.suite.name)
    try:
        claim = read_claim(run)
        clips = check_clips(claim)
    except UsageError as error:
        raise UsageError(f"{run.path}: {error}.") from error
    if clips.outcome == "failed":
        raise UsageError(f"{run.path}: {clips.detail}.")
    refuse_unrankable(run.path, of_claim(claim))
    refuse_unmeasurable(run.path, claim.card.spec, claim.card.scored_context, tables["truth"])
    return claim


def _committed(run: RunFolder, claim: Claim, place: Path) -> tuple[dict[str, Path], Commitment]:
    """The files of a submission by name, and the commitment, which is one of them."""
    rollouts = {
        rollout_name(row.id, sample): _whole(run, row.id, sample)
        for row in claim.suite.rows
        for sample in range(claim.samples)
    }
    files = sent_files(run, claim)
    files["manifest.json"] = place / "manifest.json"  # without paths, notes and tags of the submitter
    write_json(files["manifest.json"], claim.checked_manifest().document())
    commitment = Commitment(files={name: file_sha256(path) for name, path in sorted(files.items())}, rollouts=rollouts)
    files[COMMITMENT] = place / COMMITMENT
    files[COMMITMENT].write_text(json.dumps(commitment.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    return files, commitment


def _whole(run: RunFolder, clip: str, sample: int) -> CommittedRollout:
    """A rollout that is there as it was made. Raises UsageError where it is not."""
    stored, name = stored_rollout(run, clip, sample), rollout_name(clip, sample)
    keep_all = "Run it with eval --for-board, which keeps all of them."
    if stored is None:
        raise UsageError(
            f"{run.path}: the rollout {name} was not kept, and a board may ask for any of them. {keep_all}"
        )
    if load_rollout(run, clip, sample) is None:
        raise UsageError(f"{run.path}: the rollout {name} is damaged. {keep_all}")
    return stored
