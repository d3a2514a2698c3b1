"""The command line: one file per verb, imported only when that verb is called.

This module owns what all verbs share: finding them, turning every failure into one sentence and its documented exit
code, and `--debug`.
"""

from __future__ import annotations

import gc as collector  # the verb `gc` is a module of this package and takes that name when it is imported
import os
import sys
from importlib import import_module

import click

from envcheck import __version__
from envcheck.discover import names
from envcheck.schema.errors import EnvcheckError

INTERRUPTED = 130


class Verbs(click.Group):
    """A group whose commands are the modules of this package; each exports `COMMAND`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name.replace("_", "-") for name in names(__name__)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = self.list_commands(ctx)
        if cmd_name not in known:
            from difflib import get_close_matches

            near = get_close_matches(cmd_name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}."
            raise click.UsageError(f"There is no verb {cmd_name!r}: {hint}", ctx)
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").COMMAND
        return command


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="envcheck")
@click.option("--debug", is_flag=True, help="Show a traceback where envcheck itself fails.")
def group(debug: bool) -> None:
    """Will this machine run that LLM, what must be installed, and does it really run now?

    Exit codes: 0 met, 1 a requirement is not met, 2 usage or input file, 3 could not tell, 4 envcheck failed.
    """


def _sentence(error: click.ClickException) -> str:
    """What was wrong with the call, in one line, and where its help is."""
    said = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "envcheck"
    return f"{said} (see `{path.replace('python -m envcheck', 'envcheck')} --help`)"


def main() -> None:
    """Run the command line and leave with the documented exit code."""
    # Start-up makes many objects and no garbage: looking for some costs a tenth of a preflight.
    collector.set_threshold(1_000_000)
    debug = "--debug" in sys.argv[1:]  # wherever it stands
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        code = group.main(words, standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"envcheck: {_sentence(error)}", err=True)
        sys.exit(2)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except EnvcheckError as error:
        if debug:
            raise
        click.echo(f"envcheck: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output left (`envcheck … | head`): not a failure, and nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"envcheck: internal error ({type(error).__name__}: {error}); run with --debug and report it.", err=True
        )
        sys.exit(4)
    # The interpreter looks for garbage several times while it ends: an eighth of a check, for nothing.
    collector.freeze()
    sys.exit(code if isinstance(code, int) else 0)
