"""An adapter: the TOML file that describes the decoder under test (conformance/README.md has its keys)."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvrc_conformance.harness.cases import Outcome
from nvrc_conformance.text import printable
from nvrc_decoder.errors import InputError
from nvrc_decoder.profiles import PROFILES

__all__ = ["Adapter", "load_adapter"]

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
# Command -> the placeholders that it needs, and those that it may have.
_NEEDED = {"command": ("input", "output"), "stages": ("input",)}
_ALLOWED = {"command": ("python",), "stages": ("stages", "python")}
_PROFILE_NAMES = tuple(profile.name for profile in PROFILES)
_LEAST_MEMORY, _MOST_MEMORY = 1 << 20, 1 << 62
_MOST_SECONDS = 1_000_000


@dataclass(frozen=True)
class Adapter:
    """A decoder under test.

    Attributes:
        name: its name in reports.
        folder: where its command runs.
        command: program and arguments, with placeholders.
        codes: exit code -> what the decoder says with it; 0 is `Outcome.VALID`.
        timeout: seconds after which it is killed.
        memory: bytes of address space that it may use; None for no limit.
        profiles: profiles that it decodes; it must report the others as unsupported.
        known_failures: ids of streams that it must fail.
        stages: the command that prints the digests of its stages, with placeholders; empty if it has none.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    codes: Mapping[int, Outcome]
    timeout: float
    memory: int | None
    profiles: frozenset[str]
    known_failures: frozenset[str]
    stages: tuple[str, ...] = ()

    def words(self, stream: Path, output: Path) -> list[str]:
        """The command that decodes a stream; every placeholder is replaced."""
        return self._replaced(self.command, {"input": stream, "output": output})

    def stage_words(self, stream: Path, stages: Path) -> list[str]:
        """The command that writes the stages of a stream; every placeholder is replaced."""
        return self._replaced(self.stages, {"input": stream, "stages": stages})

    @property
    def prints_stages(self) -> bool:
        """Whether the stages are on the standard output, not in the file of a placeholder."""
        return not any("{stages}" in word for word in self.stages)

    def _replaced(self, command: tuple[str, ...], files: Mapping[str, Path]) -> list[str]:
        values = {"python": sys.executable, **{name: str(path) for name, path in files.items()}}
        program, *arguments = (_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in command)
        return [str(self.folder / program) if "/" in program else program, *arguments]


def _are_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _is_command(value: object) -> bool:
    return _are_strings(value) and bool(value)


def _are_codes(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 1 <= item <= 255 for item in value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST_SECONDS


def _is_memory(value: object) -> bool:
    return type(value) is int and _LEAST_MEMORY <= value <= _MOST_MEMORY


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _are_profiles(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(item in _PROFILE_NAMES for item in value)


# Key -> whether a value is right, what a right one is, and the default; a key without a default is needed.
_KEYS: dict[str, tuple[Callable[[object], bool], str, Any]] = {
    "name": (_is_name, 'a name, such as "acme 1.2"', ""),
    "command": (_is_command, 'a list of words, such as ["acme", "-i", "{input}", "-o", "{output}"]', None),
    "reject_codes": (_are_codes, "a list of exit codes from 1 to 255, such as [65]", ()),
    "unsupported_codes": (_are_codes, "a list of exit codes from 1 to 255, such as [69]", ()),
    "limit_codes": (_are_codes, "a list of exit codes from 1 to 255, such as [77]", ()),
    "timeout": (_is_time, f"a number of seconds above 0, at most {_MOST_SECONDS}, such as 60", 60.0),
    "memory": (_is_memory, f"a number of bytes from {_LEAST_MEMORY} to 2^62, such as 2_000_000_000", 0),
    "profiles": (_are_profiles, f"a list of profiles out of {', '.join(_PROFILE_NAMES)}", _PROFILE_NAMES),
    "known_failures": (_are_strings, 'a list of ids of streams, such as ["nano-sparse"]', ()),
    "stages": (_is_command, 'a list of words, such as ["acme", "--stages", "{input}"]', ()),
}
_CODE_KEYS = {
    "reject_codes": Outcome.REJECT,
    "unsupported_codes": Outcome.UNSUPPORTED,
    "limit_codes": Outcome.LIMIT,
}


def load_adapter(path: Path) -> Adapter:
    """Read an adapter; its program must exist.

    Raises:
        InputError: E_NO_INPUT, the file cannot be read; E_ADAPTER, it is no adapter, or there is no such program.
    """
    adapter = _parse(path, _read(path))
    _check_program(path, "command", adapter.words(path, path)[0])
    if adapter.stages:
        _check_program(path, "stages", adapter.stage_words(path, path)[0])
    return adapter


def _check_program(path: Path, key: str, program: str) -> None:
    if shutil.which(program) is not None:
        return
    if Path(program).is_file() and "/" in program:
        raise _fault(path, f"{program} is not executable: run chmod +x on it")
    advice = f"build it, or correct `{key}`" if "/" in program else f"install it, or give its path in `{key}`"
    raise _fault(path, f"there is no program {program}: {advice}")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot read the adapter {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # ValueError also of a number with thousands of digits
        raise _fault(path, f"this is not TOML: {error}") from None


def _parse(path: Path, document: dict[str, Any]) -> Adapter:
    for key, value in document.items():
        if key not in _KEYS:
            raise _fault(path, f"there is no key {key!r}: use {', '.join(_KEYS)}")
        is_right, meaning, _ = _KEYS[key]
        if not is_right(value):
            raise _fault(path, f"{key} must be {meaning}")
    if "command" not in document:
        raise _fault(path, f"the key 'command' is missing: give {_KEYS['command'][1]}")
    values = {key: document.get(key, default) for key, (_, _, default) in _KEYS.items()}
    return Adapter(
        name=values["name"] or printable(path.stem),
        folder=path.resolve().parent,
        command=_command(path, "command", values["command"]),
        codes=_codes(path, values),
        timeout=float(values["timeout"]),
        memory=values["memory"] or None,
        profiles=frozenset(values["profiles"]),
        known_failures=frozenset(values["known_failures"]),
        stages=_command(path, "stages", values["stages"]) if values["stages"] else (),
    )


def _command(path: Path, key: str, words: list[str]) -> tuple[str, ...]:
    used = {name for word in words for name in _PLACEHOLDER.findall(word)}
    known = (*_NEEDED[key], *_ALLOWED[key])
    for name in sorted(used - {*known}):
        listed = ", ".join(f"{{{name}}}" for name in known)
        raise _fault(path, f"{key} has the placeholder {{{name}}}, which nothing replaces: use {listed}")
    for name in _NEEDED[key]:
        if name not in used:
            raise _fault(path, f"{key} has no {{{name}}}: put it where the name of the {name} file belongs")
    if any("\0" in word for word in words):
        raise _fault(path, f"{key} has a NUL character: remove it")
    return tuple(words)


def _codes(path: Path, values: dict[str, Any]) -> dict[int, Outcome]:
    codes = {0: Outcome.VALID}
    for key, outcome in _CODE_KEYS.items():
        for code in values[key]:
            if codes.setdefault(code, outcome) is not outcome:
                raise _fault(path, f"exit code {code} is in two lists: a code can mean one thing only")
    return codes


def _fault(path: Path, message: str) -> InputError:
    return InputError("E_ADAPTER", f"{path}: {message}")
