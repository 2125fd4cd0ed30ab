"""The `rnnlab` command: registers its subcommands and prints errors in one line."""

import re
import signal
import sys
from typing import Annotated

import typer

from rnnlab.cli.analyze import analyze
from rnnlab.cli.bench import bench_command
from rnnlab.cli.best import best
from rnnlab.cli.cancel import cancel
from rnnlab.cli.check_cell import check_cell
from rnnlab.cli.compare import compare
from rnnlab.cli.config import apply_config_file, config_app
from rnnlab.cli.data import data_app
from rnnlab.cli.demo import demo
from rnnlab.cli.doctor import doctor
from rnnlab.cli.eval import evaluate
from rnnlab.cli.export import export
from rnnlab.cli.extend import extend
from rnnlab.cli.gc import gc
from rnnlab.cli.import_results import import_results
from rnnlab.cli.init import init
from rnnlab.cli.logs import logs
from rnnlab.cli.pause import pause
from rnnlab.cli.priority import priority
from rnnlab.cli.reproduce import reproduce
from rnnlab.cli.resume import resume
from rnnlab.cli.retry import retry
from rnnlab.cli.run import run
from rnnlab.cli.sample import sample
from rnnlab.cli.show import show
from rnnlab.cli.status import status
from rnnlab.cli.stop_signals import INTERRUPTED, is_handled
from rnnlab.cli.worker import worker
from rnnlab.errors import RnnlabError, UsageError
from rnnlab.version import __version__

# Replacements for messages of the library that validates option values: (pattern, replacement).
_REPLACEMENTS = [
    (r"Value error, ", ""),
    (r"Input should be greater than or equal to ", "must be at least "),
    (r"Input should be less than or equal to ", "must be at most "),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid number.*", "must be a number"),
    (r"Input should be a valid boolean.*", "must be 1, 0, true or false"),
    (r"Input should be ", "must be "),
]

# The class of errors such as unknown options; typer does not export it.
_CommandLineError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")

app = typer.Typer(
    help="Run sweeps over small recurrent networks: train hundreds at once, survive crashes, analyze the results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # the default treats [words in brackets] as markup and omits them
)
app.command("init")(init)
app.command("worker")(worker)
app.command("analyze")(analyze)
app.command("compare")(compare)
app.command("run")(run)
app.command("demo")(demo)
app.command("reproduce")(reproduce)
app.command("status")(status)
app.command("best")(best)
app.command("sample")(sample)
app.command("eval")(evaluate)
app.command("export")(export)
app.command("show")(show)
app.command("logs")(logs)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("cancel")(cancel)
app.command("retry")(retry)
app.command("priority", context_settings={"ignore_unknown_options": True})(priority)
app.command("extend")(extend)
app.command("gc")(gc)
app.command("bench")(bench_command)
app.command("check-cell")(check_cell)
app.command("doctor")(doctor)
app.command("import")(import_results)
app.add_typer(data_app, name="data")
app.add_typer(config_app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


class _Interrupted(BaseException):
    """Ctrl-C, in commands other than `rnnlab worker`, which handles it itself."""


def _interrupt(_signum: int, _frame: object) -> None:
    raise _Interrupted


def main() -> None:
    """Run the command given on the command line, and exit with its exit code."""
    try:
        if is_handled(signal.SIGINT):
            signal.signal(signal.SIGINT, _interrupt)
        sys.exit(_code_of_command())
    except _Interrupted:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is exiting: ignore a second Ctrl-C
        print("rnnlab: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of the output (head, less) has exited. This is no failure, but Python would report it at exit.
        sys.stderr.close()
        sys.exit(0)


def _code_of_command() -> int:
    try:
        apply_config_file()
        code = app(prog_name="rnnlab", standalone_mode=False)
    except RnnlabError as error:
        print(f"rnnlab: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if not isinstance(error, _CommandLineError):
            raise
        print(_in_one_line(error), file=sys.stderr)
        return UsageError.exit_code
    return code if isinstance(code, int) else 0


def _in_one_line(error: Exception) -> str:
    """The message of a command line error in one line; the full help if there are no arguments."""
    message: str = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    message = " ".join(message.split())  # typer prints each choice on its own line
    for pattern, replacement in _REPLACEMENTS:
        message = re.sub(pattern, replacement, message)
    context: typer.Context | None = error.ctx  # type: ignore[attr-defined]
    command = "rnnlab" if context is None else context.command_path
    return f"rnnlab: {message.rstrip('.')}: see `{command} --help`"
