"""The command `nvrc-ref`: finds the sub-command, and turns every error into one line and an exit code (spec 9.1)."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import click

from nvrc_decoder.errors import InternalError, LimitError, NvrcError, OutputError

__all__ = ["Settings", "group", "main", "run"]

_USAGE = 2
_INTERRUPTED, _TERMINATED = 130, 143

# Name -> what --help says; the module nvrc_ref.commands.<name with underscores> is loaded when the command runs.
_COMMANDS = {
    "encode": "Overfit a video and write a .nvrc file.",
    "decode": "Decode a .nvrc file to y4m, yuv, PNGs or mp4.",
    "info": "Say what a .nvrc file contains.",
    "verify": "Decode everything and check every digest.",
    "compare": "Measure how near a decoded video is to its source.",
    "join": "Concatenate streams of the same format.",
    "export": "Write a stream as plain ONNX: graphs, grids, manifest.",
    "export-profile": "Export the ONNX graph of a profile.",
    "bench": "Measure rate-distortion of codecs, or the speed of decoding.",
}


@dataclass
class Settings:
    """What holds for every sub-command; the context's `obj`.

    Attributes:
        debug: print the traceback of an internal error.
    """

    debug: bool = False


class _LazyGroup(click.Group):
    """Imports a sub-command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"nvrc_ref.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup, name="nvrc-ref", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="nvrc-ref", prog_name="nvrc-ref")
@click.option("--debug", is_flag=True, envvar="NVRC_DEBUG", help="Print the traceback of an internal error.")
@click.pass_obj
def group(settings: Settings, debug: bool) -> None:
    """Encoder, decoder and tools for .nvrc neural video streams.

    Exit codes: 0 ok, 1 a comparison failed, 2 usage, 65 invalid stream, 66 no such input, 69 unsupported or an extra is
    missing, 70 internal error, 74 I/O, 77 over a local limit.
    """
    settings.debug = debug


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail a second time."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _translate(error: BaseException) -> NvrcError:
    """The typed error that any other exception counts as."""
    if isinstance(error, MemoryError):
        return LimitError("E_MEMORY", "not enough memory")
    if isinstance(error, OSError):
        return OutputError("E_IO", f"{error.strerror or error}")
    return InternalError("E_INTERNAL", f"{type(error).__name__}: {error} (a fault of nvrc-ref; --debug shows where)")


def _report(error: BaseException, settings: Settings) -> int:
    """Print `error` as one line on stderr; its exit code."""
    typed = error if isinstance(error, NvrcError) else _translate(error)
    if settings.debug and not isinstance(error, NvrcError):
        traceback.print_exception(error)
    click.echo(" ".join(str(typed).split()), err=True)
    if isinstance(typed, OutputError):
        _silence_stdout()
    return typed.exit_code


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; no exception leaves but `GeneratorExit` and `SystemExit`."""
    settings = Settings()
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        with group.make_context("nvrc-ref", words, obj=settings) as context:
            group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        # With `python -m`, CPython ends by the signal, whatever the exit code, if the interrupt came through an `exec`
        # of text, as it may in the middle of an import. The next one makes it forget.
        exec("")
        return _INTERRUPTED
    except _TerminatedError:
        click.echo("terminated", err=True)
        return _TERMINATED
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic in a native extension is no Exception
        return _report(error, settings)
    return 0


class _TerminatedError(BaseException):
    """SIGTERM, which batch systems and `timeout` send."""


def _terminate(signum: int, frame: object) -> NoReturn:
    raise _TerminatedError


def main() -> None:
    """Entry point of the console script; SIGTERM ends it as Ctrl-C does, and leaves no unfinished output."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())
