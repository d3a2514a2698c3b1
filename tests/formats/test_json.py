"""JSON against the shipped schemas, which are those of the records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from envcheck.compose.checked import check_document
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.resources import folder
from envcheck.schema.json_schemas import DOCUMENTS, file_name, text
from tests.compose.fixtures import HEADER, titan_fits, titan_judgement, titan_subject, titan_v


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_shipped_schema_is_that_of_the_records(name: str) -> None:
    shipped = (folder("templates") / "schema" / file_name(name)).read_text(encoding="utf-8")
    assert shipped == text(name), "run: python -m envcheck.schema.json_schemas templates/schema"
    Draft202012Validator.check_schema(json.loads(shipped))


def validator(name: str) -> Any:
    """Validates with the shipped file."""
    return Draft202012Validator(
        json.loads((folder("templates") / "schema" / file_name(name)).read_text(encoding="utf-8"))
    )


def test_documents_follow_their_schemas() -> None:
    validator("report").validate(json.loads(render(compose(titan_subject(), HEADER), "json")))
    validator("check").validate(json.loads(render(check_document(titan_v(), titan_judgement(), titan_fits()), "json")))


def test_the_schema_refuses_what_is_no_document() -> None:
    document = json.loads(render(check_document(titan_v(), titan_judgement(), titan_fits()), "json"))
    document["worst"] = "fine"
    with pytest.raises(ValidationError):
        validator("check").validate(document)
