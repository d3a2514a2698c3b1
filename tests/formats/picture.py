"""The picture in the README: what `envcheck check` prints about one of the example machines, as it looks on a terminal.

python -m tests.formats.picture
"""

from __future__ import annotations

import re
from io import StringIO

from envcheck import api
from envcheck.formats import render
from envcheck.machine_files import read_assumption
from envcheck.schema.format import Style
from tests.formats.golden import EXAMPLES

MACHINE = EXAMPLES.parent.parent / "tests" / "machines" / "wsl2-titan-v.toml"
PICTURE = EXAMPLES / "check-wsl2-titan-v.svg"
COMMAND = "$ envcheck check --assume wsl2-titan-v.toml"
BACKENDS = ("llama.cpp", "ollama", "transformers", "vllm")


def picture() -> str:
    """The SVG; it loads nothing from anywhere."""
    from rich.console import Console
    from rich.text import Text

    document = api.check(read_assumption(MACHINE), backends=BACKENDS)
    console = Console(record=True, width=100, file=StringIO(), force_terminal=True)
    console.print(COMMAND, style="bold", highlight=False)
    console.print(Text.from_ansi(render(document, "console", Style(width=98, colour=True))))
    drawn = console.export_svg(title="envcheck", unique_id="envcheck")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return drawn.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
