"""Mutants of the decoder in C: misreadings of the specification, each a replacement of some text in one file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["Mutant", "load_mutants", "mutated"]


@dataclass(frozen=True)
class Mutant:
    """A misreading.

    Attributes:
        id: its name.
        section: of the specification.
        file: that it changes, in conformance/decoders/c.
        find: a text that is in the file exactly once.
        replace: what takes its place.
        misreading: a sentence for people.
        equivalent: why no stream can tell it from the decoder; empty where one can.
    """

    id: str
    section: str
    file: str
    find: str
    replace: str
    misreading: str
    equivalent: str = ""


def load_mutants(path: Path) -> tuple[Mutant, ...]:
    """The mutants of a file, in its order.

    Raises:
        ValueError: a key is unknown or missing, or a value is no text.
    """
    known = {field.name for field in fields(Mutant)}
    mutants = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
        wrong = sorted(key for key, value in entry.items() if key not in known or not isinstance(value, str))
        missing = sorted(known - entry.keys() - {"equivalent"})
        if wrong or missing:
            raise ValueError(f"{path}: {entry.get('id', 'a mutant')}: wrong keys {wrong}, missing keys {missing}")
        mutants.append(Mutant(**entry))
    return tuple(mutants)


def mutated(mutant: Mutant, source: str) -> str:
    """The text of the mutant's file with the misreading in it.

    Raises:
        ValueError: the text to find is not in it exactly once, or is what replaces it.
    """
    count = source.count(mutant.find)
    if count != 1 or mutant.find == mutant.replace:
        raise ValueError(f"{mutant.id}: its text is {count} times in {mutant.file}, or replaces itself")
    return source.replace(mutant.find, mutant.replace)
