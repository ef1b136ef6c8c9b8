"""Encoding in a forked process: PyTorch's threads exist only in the parent, so an encode in the child would hang."""

from __future__ import annotations

import os

import torch

from nvrc_decoder.errors import InputError

__all__ = ["check_process"]

_encoded_in: set[int] = set()


def check_process() -> None:
    """Refuse to encode where PyTorch would hang; to be called before an encode.

    Raises:
        InputError: E_FORK, the process that this one was forked from has encoded with several threads.
    """
    if _encoded_in - {os.getpid()} and torch.get_num_threads() > 1:
        message = "this process was forked from one that has encoded, and PyTorch's threads exist only there"
        raise InputError("E_FORK", f"{message}: start workers with spawn, or call torch.set_num_threads(1) in them")
    _encoded_in.add(os.getpid())
