"""The command `nvrc-ref`: finds the sub-command, and turns every error into one line and an exit code (spec 9.1)."""

from __future__ import annotations

import importlib
import io
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

import nvrc_decoder
from nvrc_decoder.errors import InternalError, NvrcError, OutputError
from nvrc_decoder.system.out_of_memory import is_out_of_memory, memory_error
from nvrc_decoder.system.packages import package_fault
from nvrc_output.files import remove_unfinished
from nvrc_output.standard_streams import guard_standard_streams, silence_stdout
from nvrc_ref.signals import TerminatedError, behind, forget_signals, terminable, undisturbed

__all__ = ["Settings", "group", "main", "run"]

_USAGE = 2
_INTERRUPTED = 130
_STDOUT = re.compile(r"^(--[a-z0-9-]+=)?/(dev/stdout|dev/fd/1|proc/self/fd/1)$")

# Name -> the line in --help; the module nvrc_ref.commands.<name with underscores> is loaded when the command runs.
_COMMANDS = {
    "encode": "Overfit a video and write a .nvrc file.",
    "decode": "Decode a .nvrc file to y4m, yuv, PNGs or mp4.",
    "info": "Say what a .nvrc file contains.",
    "play": "Play a .nvrc file in the browser.",
    "verify": "Decode everything and check every digest.",
    "compare": "Measure how close a decoded video is to its source.",
    "join": "Concatenate streams of the same format.",
    "export": "Write a video as an ONNX model, or as a page that plays it.",
    "bench": "Measure rate-distortion of codecs, or the speed of decoding.",
    "conformance": "Run any decoder on the conformance suite.",
}


@dataclass
class Settings:
    """Settings of every sub-command; the context's `obj`.

    Attributes:
        debug: print the traceback of an internal error.
        command: the sub-command's name; None before it is parsed.
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
    missing, 70 internal error, 74 I/O, 77 over a local limit or out of memory.
    """
    settings.debug = debug


# Command -> advice that saves memory.
_LESS_MEMORY = {
    "encode": "encode smaller pictures, in a shorter --segment or --gop, or with fewer --jobs",
    "decode": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "verify": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "export": "use --threads 1, or a lower --limit max_memory_bytes=N",
    "bench": "use fewer --jobs, --threads or --frames, or smaller clips",
}


def _translate(error: BaseException, command: str | None) -> NvrcError:
    """The typed error for an exception; E_MEMORY where memory ran out, whatever library said so."""
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
        silence_stdout()
    return typed.exit_code


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuse empty arguments, which mostly come from an unset variable of the shell.

    Raises:
        click.UsageError: an argument, or the value of an option, is empty.
    """
    for before, word in zip(["", *words], words, strict=False):
        option = before if word == "" else word[:-1]
        if word == "" or (word.endswith("=") and re.fullmatch("--[a-z0-9-]+", option)):
            place = f"the value of {option}" if option.startswith("-") else "an argument"
            raise click.UsageError(f"{place} is empty: perhaps a shell variable is not set")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Only `GeneratorExit` and `SystemExit` leave as exceptions.

    Args:
        arguments: the words after ``nvrc-ref``; None for those of this process.

    Returns:
        The exit code (spec 9.1).
    """
    settings = Settings()
    forget_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may have characters that the terminal's encoding lacks; stderr already escapes them.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Opened by its device name, a redirected stdout would be overwritten from its beginning.
        words = [_STDOUT.sub(r"\1-", word) for word in (sys.argv[1:] if arguments is None else arguments)]
        _refuse_empty(words)
        with group.make_context("nvrc-ref", words, obj=settings) as context:
            group.invoke(context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (KeyboardInterrupt, click.Abort, TerminatedError) as stop:
        return _ended(stop)
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic in a native extension is no Exception
        signal = behind(error)
        return _report(error, settings) if signal is None else _ended(signal)
    return 0


def _ended(stop: BaseException) -> int:
    """Report that a signal ended the command; its exit code."""
    if isinstance(stop, TerminatedError):
        click.echo(str(stop) or "terminated", err=True)
        return stop.exit_code
    click.echo(str(stop) or "interrupted", err=True)
    # With `python -m`, CPython ends by the signal, whatever the exit code, if the interrupt came during an `exec` of
    # text, as it may in the middle of an import. Another `exec` clears that state.
    exec("")
    return _INTERRUPTED


def main() -> None:
    """Entry point of the console script. SIGTERM and SIGHUP end it as Ctrl-C does, without unfinished output."""
    guard_standard_streams()
    terminable()
    try:
        code = run()
    except KeyboardInterrupt:  # a second one, while the first was handled
        code = _INTERRUPTED
    except TerminatedError as stop:
        code = stop.exit_code
    finally:
        with undisturbed():
            remove_unfinished()
    sys.exit(code)
