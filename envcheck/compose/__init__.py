"""Composition: from what was found out to the document that says it. Pure; every decision of wording and order is here.

`envcheck.compose.checked` makes the document of `envcheck check`, `envcheck.compose.report` the report.
"""
