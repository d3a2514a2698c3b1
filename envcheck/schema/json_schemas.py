"""JSON schemas (2020-12) of the documents, generated from their records.

`python -m envcheck.schema.json_schemas DIR` writes them. The shipped files are
`templates/schema/<document>-<version>.schema.json`; a test compares them with what the records say now.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from envcheck.schema.report import SCHEMA_VERSION, CheckDocument, Report

DOCUMENTS: dict[str, type] = {"report": Report, "check": CheckDocument}


def schema(name: str) -> dict[str, Any]:
    """The schema of one document, with its version in the title."""
    found = msgspec.json.schema(DOCUMENTS[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"envcheck {name} {SCHEMA_VERSION}",
        **found,
    }


def file_name(name: str) -> str:
    """The name of the shipped file."""
    return f"{name}-{SCHEMA_VERSION}.schema.json"


def text(name: str) -> str:
    """The shipped file's text."""
    return msgspec.json.format(msgspec.json.encode(schema(name)), indent=1).decode() + "\n"


def main() -> None:
    """Write every schema into the folder named on the command line."""
    for name in DOCUMENTS:
        (Path(sys.argv[1]) / file_name(name)).write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
