"""Vocabulary <-> file: a header with a count and a checksum, then one token a line."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from maskdata.data._atomic import write_atomically
from maskdata.data._check import refuse

WHO = "Vocabulary.load"
HEADER = re.compile(rb"# maskdata vocabulary 1: (\d+) tokens, sha256 ([0-9a-f]{64})")
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
UNESCAPES = {escaped: plain for plain, escaped in ESCAPES.items()}


def write(path: Path, tokens: Sequence[str]) -> None:
    """Write `tokens` to `path`, all or nothing."""
    write_atomically(path, content(tokens))


def content(tokens: Sequence[str]) -> bytes:
    """Return what a file of `tokens` holds.

    >>> content(["to", "be"]).decode().splitlines()[1:]
    ['to', 'be']
    """
    body = "".join(_escape(token) + "\n" for token in tokens).encode()
    checksum = hashlib.sha256(body).hexdigest()
    header = f"# maskdata vocabulary 1: {len(tokens)} tokens, sha256 {checksum}\n".encode()
    return header + body


def read(path: Path) -> list[str]:
    """Return the tokens of a file that `write` wrote, unchanged since."""
    if not path.is_file():
        refuse(WHO, "path must be an existing file", str(path), "Check it.", FileNotFoundError)
    header, _, body = path.read_bytes().partition(b"\n")
    if header.endswith(b"\r"):
        refuse(WHO, "lines must end in \\n", f"\\r\\n in {path}", "Copy the file in binary mode.")
    match = HEADER.fullmatch(header)
    if match is None:
        refuse(
            WHO, f"{path} must start with a header", header[:80], "Write it with Vocabulary.save."
        )
        raise AssertionError
    count, checksum = int(match[1]), match[2].decode()
    try:
        lines = body.decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        refuse(WHO, f"{path} must be UTF-8", str(error), "Restore the file that was saved.")
    if len(lines) != count or not body.endswith(b"\n"):
        refuse(
            WHO,
            f"{path} must hold {count} whole lines",
            len(lines),
            "It was cut or edited: restore it.",
        )
    if len(set(lines)) < count:
        repeated = sorted({line for line in lines if lines.count(line) > 1})[:3]
        refuse(WHO, f"{path} must hold each token once", repeated, "It was edited: restore it.")
    actual = hashlib.sha256(body).hexdigest()
    if actual != checksum:
        refuse(WHO, f"{path} must have sha256 {checksum}", actual, "It was edited: restore it.")
    return [_unescape(line) for line in lines]


def _escape(token: str) -> str:
    return re.sub(r"[\\\n\r]", lambda match: ESCAPES[match[0]], token)


def _unescape(line: str) -> str:
    return re.sub(r"\\[\\nr]", lambda match: UNESCAPES[match[0]], line)
