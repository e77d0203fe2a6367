"""Compare what the README shows of its first command with what the command printed: the same lines, skills within 0.05.

python .ci/readme_output.py LOG    LOG has what the command printed, after whatever was printed before it
python .ci/readme_output.py --print LOG    the lines for the README
"""

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
TOLERANCE = 0.05  # of a skill of four clips: processors differ in the last bits of a network
FIRST, LAST = "objects on smoke:", "Report: "
# Lines that come or not, as things take long or not.
PASSING = re.compile(
    r"(Loading |Compiling |After |About |Seeking |Still |Rollouts and scores: |[^ ].*: \d+ of \d+ after )"
)
NUMBER = re.compile(r"[-−+]?\d+(?:\.\d+)?")
WHOLE_RUN = re.compile(r"whole run # (?:s|min|h)")  # in seconds, minutes or hours: a machine is faster than another
SKILL = re.compile(r"([-−]?\d\.\d\d)(?: lost)?$")
OTHER_COLUMNS = ("strength",)  # of the table; they hold no skill


def shown(readme: str) -> list[str]:
    """The lines of the README's block."""
    (block,) = re.findall(rf"^```text\n({FIRST}.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    return relevant(block)


def relevant(text: str) -> list[str]:
    """From the first line of the last evaluation to its last line, without progress."""
    lines = [line.rstrip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(FIRST)]
    if not starts:
        raise SystemExit(f"There is no line that begins with '{FIRST}'.")
    found = []
    for line in lines[starts[-1] :]:
        if not PASSING.match(line):
            found.append(line)
        if line.startswith(LAST):
            return found
    raise SystemExit(f"There is no line that begins with '{LAST}': the evaluation did not end.")


def beginnings(lines: list[str]) -> list[str]:
    """Two words of each line above the table, without numbers: what the rest says is found anew in each version."""
    end = next(number for number, line in enumerate(lines) if line.startswith("skill "))
    return [NUMBER.sub("#", " ".join(line.split()[:2])) for line in lines[:end] if line]


def table(lines: list[str]) -> dict[str, dict[str, str]]:
    """Cells of the table by row and column; a column ends where its name does. The first figure of a row is a word."""
    start = next(number for number, line in enumerate(lines) if line.startswith("skill "))
    (first, begin), *ends = ((each[0], each.end()) for each in list(re.finditer(r"\S+", lines[start]))[1:])
    found = {}
    for line in lines[start + 1 : lines.index("", start)]:
        *words, figure = line[:begin].split()
        edges = [begin, *(end for _, end in ends)]
        cells = {name: line[left:right].strip() for (name, right), left in zip(ends, edges, strict=False)}
        found[" ".join(words)] = {first: figure, **cells}
    return found


def overall(lines: list[str]) -> dict[str, dict[str, str]]:
    """Values of the line of overall skills, by name."""
    line = next(line for line in lines if line.startswith("overall"))
    return {name: {"": value} for name, value in re.findall(r"([a-z][a-z ]*?) ([-−]?\d\.\d\d)", line)}


def ending(lines: list[str]) -> str:
    """What stands after the skills, without numbers; the README breaks lines where a terminal does not."""
    after = next(number for number, line in enumerate(lines) if line.startswith("overall")) + 1
    return WHOLE_RUN.sub("whole run #", NUMBER.sub("#", " ".join(" ".join(lines[after:]).split())))


def skill(cell: str) -> float | None:
    """The number in a cell; a guard that is kept is a loss of 0."""
    match = SKILL.match(cell)
    return 0.0 if cell == "kept" else float(match[1].replace("−", "-")) if match else None


def differences(mine: list[str], theirs: list[str]) -> list[str]:
    """What differs between the README and a log, a line each."""
    found = []
    for part in (beginnings, ending):
        if part(mine) != part(theirs):
            found.append(f"README.md shows\n  {part(mine)}\nand the command prints\n  {part(theirs)}")
    for part in (table, overall):
        one, other = part(mine), part(theirs)
        places, others = (
            {f"{name} {column}".strip() for name in each for column in each[name]} for each in (one, other)
        )
        if places != others:
            mine_only, theirs_only = (
                "; ".join(sorted(each)) or "nothing" for each in (places - others, others - places)
            )
            found.append(f"only README.md has: {mine_only}\nonly the command prints: {theirs_only}")
            continue
        for row, cells in one.items():
            for column in [name for name in cells if name not in OTHER_COLUMNS]:
                texts = cells[column], other[row][column]
                a, b = map(skill, texts)
                if texts[0] != texts[1] and (a is None or b is None or abs(a - b) > TOLERANCE + 1e-9):
                    found.append(f"{row} {column}: README.md has {texts[0]}, the command prints {texts[1]}")
    return found


def main(arguments: list[str]) -> None:
    """Exit with 1 where they differ."""
    log = relevant(Path(arguments[-1]).read_text(encoding="utf-8"))
    if arguments[0] == "--print":
        print("\n".join(log))
        return
    if found := differences(shown(README.read_text(encoding="utf-8")), log):
        raise SystemExit("\n".join(found))
    print("README.md shows what its first command prints")


if __name__ == "__main__":
    main(sys.argv[1:])
