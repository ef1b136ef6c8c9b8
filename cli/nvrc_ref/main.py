"""The command `nvrc-ref`: finds the sub-command, and turns every error into one line and an exit code (spec 9.1)."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import click

import nvrc_decoder
from nvrc_decoder.errors import InternalError, NvrcError, OutputError
from nvrc_decoder.out_of_memory import is_out_of_memory, memory_error
from nvrc_decoder.packages import package_fault

__all__ = ["Settings", "group", "main", "run"]

_USAGE = 2
_INTERRUPTED, _TERMINATED = 130, 143

# Name -> what --help says; the module nvrc_ref.commands.<name with underscores> is loaded when the command runs.
_COMMANDS = {
    "encode": "Overfit a video and write a .nvrc file.",
    "decode": "Decode a .nvrc file to y4m, yuv, PNGs or mp4.",
    "info": "Say what a .nvrc file contains.",
    "verify": "Decode everything and check every digest.",
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
        command: the sub-command's name, once it is known.
    """

    debug: bool = False
    command: str | None = None


class _LazyGroup(click.Group):
    """Imports a sub-command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if isinstance(ctx.obj, Settings):
            ctx.obj.command = cmd_name
        module = importlib.import_module(f"nvrc_ref.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"nvrc-ref, version {nvrc_decoder.__version__}")
        context.exit()


@click.group(
    cls=_LazyGroup, name="nvrc-ref", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, envvar="NVRC_DEBUG", help="Print the traceback of an internal error.")
@click.pass_obj
def group(settings: Settings, debug: bool) -> None:
    """Encoder, decoder and tools for .nvrc neural video streams.

    Exit codes: 0 ok, 1 a comparison failed, 2 usage, 65 invalid stream, 66 no such input, 69 unsupported or an extra is
    missing, 70 internal error, 74 I/O, 77 over a local limit or the memory here.
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


# Command -> what takes less memory.
_LESS_MEMORY = {
    "encode": "encode smaller pictures, or fewer --frames at a time, for `join` to put together",
    "decode": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "verify": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "export": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "bench": "use fewer --jobs, --threads or --frames, or smaller clips",
}


def _translate(error: BaseException, command: str | None) -> NvrcError:
    """The typed error that an exception counts as; where memory ran out, that, whoever said it."""
    if getattr(error, "code", None) == "E_MEMORY" or is_out_of_memory(error):
        return memory_error(_LESS_MEMORY.get(command or "", "close other programs, or use a smaller input"))
    if isinstance(error, NvrcError):
        return error
    fault = package_fault(error)
    if fault is not None:
        return fault
    if isinstance(error, OSError):
        return OutputError("E_IO", f"{error.strerror or error}")
    return InternalError("E_INTERNAL", f"{type(error).__name__}: {error} (a fault of nvrc-ref; --debug shows where)")


def _report(error: BaseException, settings: Settings) -> int:
    """Print `error` as one line on stderr; its exit code."""
    typed = _translate(error, settings.command)
    if settings.debug and not isinstance(error, NvrcError):
        traceback.print_exception(error)
    click.echo(" ".join(str(typed).split()), err=True)
    if isinstance(typed, OutputError):
        _silence_stdout()
    return typed.exit_code


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; no exception leaves but `GeneratorExit` and `SystemExit`."""
    settings = Settings()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be text that the terminal's encoding has; the standard error stream is like this.
        sys.stdout.reconfigure(errors="backslashreplace")
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
