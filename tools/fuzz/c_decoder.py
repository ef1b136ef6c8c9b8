"""The decoder in C as a library in this process, called through `nvrc.h`."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from fuzz.oracle import DECODED, LIMITS, Outcome
from nvrc_conformance.faults.describe import OUTCOMES
from nvrc_conformance.manifest import MANIFEST_PATH

__all__ = ["CDecoder", "build"]

SOURCES = MANIFEST_PATH.parent / "decoders" / "c"
# Undefined behaviour ends the process. The address sanitizer has to be the first library of a process, which this one
# is not.
FLAGS = "-std=c99 -O2 -fPIC -fsanitize=undefined -fno-sanitize-recover=all"

_OK, _END = 0, 1


class _Error(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("code", ctypes.c_char_p),
        ("offset", ctypes.c_uint64),
        ("unit", ctypes.c_char_p),
        ("unit_number", ctypes.c_uint64),
        ("requirement", ctypes.c_char_p),
        ("section", ctypes.c_char_p),
        ("sentence", ctypes.c_char_p),
    )


class _Limits(ctypes.Structure):
    # nvrc.h has the same limits in the same order.
    _fields_ = tuple((name.removeprefix("max_"), ctypes.c_uint64) for name in vars(LIMITS))


class _Options(ctypes.Structure):
    _fields_ = (("limits", _Limits), ("allocator", ctypes.c_void_p * 3), ("observer", ctypes.c_void_p * 2))


class _Frame(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_void_p), ("size", ctypes.c_size_t), ("index", ctypes.c_uint64))


def build(folder: Path) -> Path:
    """Compile the library in a folder; its file.

    Raises:
        subprocess.CalledProcessError: it cannot be compiled.
    """
    folder = folder.resolve()
    subprocess.run(["make", "--silent", "-C", str(SOURCES), f"CFLAGS={FLAGS}", f"BUILD={folder}"], check=True)
    objects = sorted(str(path) for path in folder.glob("*.o") if path.name != "main.o")
    library = folder / "libnvrc.so"
    subprocess.run(["cc", "-shared", *FLAGS.split(), "-o", str(library), *objects], check=True)
    return library


class CDecoder:
    """The decoder in C, under the limits of `LIMITS`.

    Args:
        library: of `build`.
    """

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.nvrc_default_options.restype = _Options
        self._library.nvrc_default_options.argtypes = []
        self._library.nvrc_open_memory.restype = ctypes.c_void_p
        self._library.nvrc_open_memory.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t),
            *(ctypes.POINTER(_Options), ctypes.POINTER(_Error)),
        ]
        self._library.nvrc_decode.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Frame), ctypes.POINTER(_Error)]
        self._library.nvrc_close.argtypes = [ctypes.c_void_p]
        self._library.nvrc_close.restype = None
        self._options = self._library.nvrc_default_options()
        self._options.limits = _Limits(*vars(LIMITS).values())

    def decode(self, data: bytes) -> Outcome:
        """Decode a whole stream."""
        error, frame = _Error(), _Frame()
        decoder = self._library.nvrc_open_memory(data, len(data), self._options, error)
        if not decoder:
            return _refusal(error)
        frames = []
        try:
            while (status := self._library.nvrc_decode(decoder, frame, error)) == _OK:
                frames.append(ctypes.string_at(frame.bytes, frame.size))
        finally:
            self._library.nvrc_close(decoder)
        return Outcome(DECODED, "", tuple(frames)) if status == _END else _refusal(error)


def _refusal(error: _Error) -> Outcome:
    return Outcome(OUTCOMES[error.kind], error.code.decode())
