"""Python files -> lines of code, with one letter per character: the class of its token.

The letters come from the `tokenize` module of the Python that runs this, 3.11 or newer. Up to
3.11 an f-string is one string; since 3.12 the code inside its braces is code.
"""

import io
import keyword
import random
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CLASSES = {
    "k": "keyword",
    "n": "name",
    "d": "number",
    "s": "string",
    "c": "comment",
    "o": "operator",
    " ": "space",
}
_LETTERS = {
    "NUMBER": "d",
    "COMMENT": "c",
    "OP": "o",
    "STRING": "s",
    **{f"{kind}STRING_{part}": "s" for kind in "FT" for part in ("START", "MIDDLE", "END")},
}
_UNREADABLE = (OSError, SyntaxError, ValueError, tokenize.TokenError)
_LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}
_SPREAD = 160
_SHOWN = 5


@dataclass
class SourceFile:
    """Lines of one file and, for each, a string of as many letters."""

    path: Path
    lines: list[str]
    tags: list[str]


@dataclass
class Reading:
    """What was read from a folder, and what could not be: path -> reason."""

    folder: Path
    files: list[SourceFile] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)

    @property
    def num_lines(self) -> int:
        """How many lines all files have together."""
        return sum(len(file.lines) for file in self.files)

    def split(self) -> tuple[list[SourceFile], list[SourceFile]]:
        """Hold out the first files, until they have a fifth of the lines; train on the others."""
        held_out, lines = 1, len(self.files[0].lines)
        while lines < self.num_lines / 5 and held_out < len(self.files) - 1:
            lines += len(self.files[held_out].lines)
            held_out += 1
        return self.files[:held_out], self.files[held_out:]

    def __str__(self) -> str:
        characters = sum(len(line) for file in self.files for line in file.lines)
        report = [
            f"folder      {self.folder}, its tests left out",
            f"files       {len(self.files):,}, and {len(self.skipped):,} skipped",
            *(f"            {path.name}: {reason}" for path, reason in self.skipped.items()),
        ]
        if len(self.skipped) > _SHOWN:
            report[2 + _SHOWN :] = ["            ..."]
        return "\n".join(
            [*report, f"lines       {self.num_lines:,}", f"characters  {characters:,}"]
        )


def read_folder(folder: Path, count: int, seed: int) -> Reading:
    """Read about `count` lines of the Python files in a folder, a random choice of both.

    The lines come from at least 160 files, or from all if there are fewer: a highlighter should
    not learn one long file by heart. Tests are left out, because they hold much code in strings,
    and so are installed packages.
    """
    paths = sorted(
        p for p in folder.rglob("*.py") if not _LEFT_OUT & set(p.relative_to(folder).parts)
    )
    chance = random.Random(seed)
    chance.shuffle(paths)
    per_file = count // max(1, min(len(paths), _SPREAD))
    reading = Reading(folder)
    for path in paths:
        try:
            file = read_file(path)
        except _UNREADABLE as error:
            reading.skipped[path] = _reason(error)
            continue
        size = min(per_file, count - reading.num_lines, len(file.lines))
        chosen = sorted(chance.sample(range(len(file.lines)), size))
        if chosen:
            lines, tags = [file.lines[i] for i in chosen], [file.tags[i] for i in chosen]
            reading.files.append(SourceFile(path, lines, tags))
        if reading.num_lines == count:
            break
    return reading


def read_file(path: Path) -> SourceFile:
    """Read the lines of a file that are not blank, with their tags."""
    with tokenize.open(path) as file:
        source = file.read()
    source.encode()  # Refuses what an odd encoding can hold and TensorFlow's UTF-8 cannot.
    rows = [
        (line, tags)
        for line, tags in zip(source.split("\n"), tag_lines(source), strict=True)
        if line.strip()
    ]
    return SourceFile(path, [line for line, _ in rows], [tags for _, tags in rows])


def tag_lines(source: str) -> list[str]:
    """Return one letter per character for every line of `source`."""
    lines = source.split("\n")
    tags = [[_letter_between_tokens(character) for character in line] for line in lines]
    for letter, (first, start), (last, end) in _letters_of_tokens(source):
        for number in range(first - 1, last):
            left = start if number == first - 1 else 0
            right = min(end if number == last - 1 else len(lines[number]), len(lines[number]))
            tags[number][left:right] = letter * (right - left)
    return ["".join(letters) for letters in tags]


def _letter_between_tokens(character: str) -> str:
    if character in "{}":  # The second brace of "{{" in an f-string belongs to no token.
        return "s"
    return " " if character.isspace() else "o"  # The backslash that continues a line.


def _letters_of_tokens(source: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "ERRORTOKEN":
            raise SyntaxError(f"no Python token, line {token.start[0]}")
        if kind == "NAME":
            yield "k" if keyword.iskeyword(token.string) else "n", token.start, token.end
        elif kind in _LETTERS:
            yield _LETTERS[kind], token.start, token.end


def _reason(error: Exception) -> str:
    has_place = isinstance(error, SyntaxError | tokenize.TokenError)
    return str(error.args[0] if has_place else error)
