"""The check of a written stream: it decodes to the frames that the encoder promised."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import nvrc_decoder
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.planes import Planes

__all__ = ["NO_LIMITS", "verify_stream"]

NO_LIMITS = Limits(*(1 << 62 for _ in dataclasses.fields(Limits)))
"""Limits of a decoder that refuses nothing."""


def verify_stream(data: bytes, promised: Sequence[Planes]) -> None:
    """Decode a stream with the installed decoder and compare every frame with the encoder's own.

    The decoder's limits are off: they are the policy of whoever decodes, and training took more memory than decoding.

    Args:
        data: the whole stream.
        promised: the encoder's own reconstruction, in the order of display.

    Raises:
        InternalError: E_RECONSTRUCTION, the stream does not decode, or to other frames.
    """
    count = 0
    try:
        with nvrc_decoder.open(io.BytesIO(data), limits=NO_LIMITS) as video:
            for number, frame in enumerate(video):
                if number >= len(promised) or frame.md5() != promised[number].md5():
                    raise InternalError(
                        "E_RECONSTRUCTION", f"frame {number} of the written stream does not decode to the encoder's own"
                    )
                count += 1
    except InvalidStreamError as error:
        raise InternalError("E_RECONSTRUCTION", f"the written stream does not decode: {error}") from error
    if count != len(promised):
        raise InternalError("E_RECONSTRUCTION", f"the written stream decodes to {count} of {len(promised)} frames")
