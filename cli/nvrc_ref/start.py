"""Where the program `nvrc-ref` begins."""

from __future__ import annotations

import signal

__all__ = ["start"]


def start() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, even before all modules are imported."""
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if by_default:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from nvrc_ref.main import main

    if by_default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
