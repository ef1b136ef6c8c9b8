"""`nvrc_decoder.__all__` is the public API, and whole: every type in a public signature is exported."""

from __future__ import annotations

import builtins
import inspect
import io
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
# Only the decoder makes a Video or a Timeline, and adds to the latter what it reads.
FOR_THE_DECODER = {"Video.__init__", "Timeline.__init__", "Timeline.add"}


def named_types(hint: object) -> Iterator[type]:
    """The classes of this project in a type, those of its arguments included."""
    if isinstance(hint, type) and hint.__module__.startswith("nvrc_"):
        yield hint
    for part in typing.get_args(hint):
        if isinstance(part, list):
            for one in part:
                yield from named_types(one)
        else:
            yield from named_types(part)


def functions(thing: object) -> Iterator[tuple[str, typing.Any]]:
    """Public functions, methods and properties with their names; the thing itself if it is a function."""
    if not isinstance(thing, type):
        if callable(thing):
            yield getattr(thing, "__name__", "?"), thing
        return
    for base in thing.__mro__:
        if base.__module__.startswith("nvrc_"):
            for name, member in vars(base).items():
                # Behind a property, a cached property, a class method.
                inner = (getattr(member, part) for part in ("fget", "func", "__func__") if hasattr(member, part))
                function = next(inner, member)
                if inspect.isfunction(function) and (not name.startswith("_") or name.startswith("__")):
                    yield f"{base.__name__}.{name}", function


def types_in_signatures() -> dict[type, set[str]]:
    """The project's classes in signatures and fields of the public API, and where each of them is."""
    found: dict[type, set[str]] = {}
    for name in nvrc_decoder.__all__:
        thing = getattr(nvrc_decoder, name)
        hints = [(where, hint) for where, f in functions(thing) for hint in typing.get_type_hints(f).values()]
        if isinstance(thing, type):
            hints += [(f"{name}.{key}", hint) for key, hint in typing.get_type_hints(thing).items() if key[0] != "_"]
        for where, hint in hints:
            for one in named_types(hint):
                found.setdefault(one, set()).add(where)
    return found


def attribute_types(values: list[object]) -> dict[type, str]:
    """The project's classes that are reached from these values by public attributes, and how."""
    found: dict[type, str] = {}
    todo = [(type(value).__name__, value) for value in values]
    while todo:
        where, value = todo.pop()
        if type(value).__module__.startswith("nvrc_") and type(value) not in found:
            found[type(value)] = where
            for name in dir(value):
                if not name.startswith("_") and not callable(attribute := getattr(value, name)):
                    todo.append((f"{where}.{name}", attribute))
    return found


def exported() -> set[type]:
    return {thing for name in nvrc_decoder.__all__ if isinstance(thing := getattr(nvrc_decoder, name), type)}


def test_types_in_signatures_are_exported() -> None:
    found = types_in_signatures()
    assert {nvrc_decoder.Frame, nvrc_decoder.Damage, nvrc_decoder.Limits, nvrc_decoder.NvrcError} <= set(found)
    hidden = {cls.__name__: places - FOR_THE_DECODER for cls, places in found.items() if cls not in exported()}
    assert {name: places for name, places in hidden.items() if places} == {}


def test_types_of_attributes_are_exported() -> None:
    manifest = load_manifest()
    name = next(stream.id for stream in manifest.streams if "METADATA of presentation" in stream.features)
    damages: list[nvrc_decoder.Damage] = []
    data = bytearray(manifest.read(name))
    with nvrc_decoder.open(io.BytesIO(data), times=(times := nvrc_decoder.StageTimes())) as video:
        found = attribute_types([video, next(video), times, nvrc_decoder.DEFAULT_LIMITS])
    data[-40] ^= 255
    with nvrc_decoder.open(io.BytesIO(data), on_damage=damages.append) as video:
        list(video)
    found |= attribute_types(list(damages))
    assert {nvrc_decoder.Timeline, nvrc_decoder.VideoFormat, nvrc_decoder.Damage} <= set(found)
    assert {cls.__name__: where for cls, where in found.items() if cls not in exported()} == {}


def test_error_classes_are_exported() -> None:
    errors, todo = set(), [nvrc_decoder.NvrcError]
    while todo:
        errors.add(todo[-1])
        todo += todo.pop().__subclasses__()
    ours = {error.__name__ for error in errors if error.__module__ == "nvrc_decoder.errors"}
    assert ours == {name for name in nvrc_decoder.__all__ if name.endswith("Error")}


def test_all_is_sorted_and_importable() -> None:
    assert list(nvrc_decoder.__all__) == sorted(nvrc_decoder.__all__, key=lambda name: (not name.isupper(), name))
    namespace: dict[str, object] = {}
    exec("from nvrc_decoder import *", namespace)
    assert set(nvrc_decoder.__all__) - {"__version__"} <= set(namespace)
    assert namespace["open"] is not builtins.open


@pytest.mark.parametrize("name", nvrc_decoder.__all__)
def test_docs_name_what_is_public(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
