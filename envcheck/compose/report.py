"""The report about one machine: every section that has something to say, in the order a reader needs it."""

from __future__ import annotations

from envcheck.compose._cells import settled
from envcheck.compose.acceleration import acceleration_section
from envcheck.compose.acceptance import acceptance_section
from envcheck.compose.benchmark_plan import plan_section
from envcheck.compose.closing import appendix_section, next_steps_section
from envcheck.compose.compatibility import compatibility_section
from envcheck.compose.critical import critical_section
from envcheck.compose.expectations import expectations_section
from envcheck.compose.installation import installation_section
from envcheck.compose.locality import local_only_section
from envcheck.compose.measured import measured_section
from envcheck.compose.metrics import workloads_section
from envcheck.compose.models import models_section
from envcheck.compose.optimisations import optimisations_section
from envcheck.compose.options import options_section
from envcheck.compose.overview import outcome, overview_section
from envcheck.compose.packages import packages_section
from envcheck.compose.troubleshooting import troubleshooting_section
from envcheck.schema.blocks import Section
from envcheck.schema.report import SCHEMA_VERSION, Header, Report, Subject


def compose(subject: Subject, header: Header) -> Report:
    """Everything that is known about one machine, as the document that every format renders. Pure."""
    answer = outcome(subject)
    found: list[Section | None] = [
        overview_section(subject, header, answer),
        compatibility_section(subject),
        critical_section(subject),
        packages_section(subject),
        acceleration_section(subject),
        plan_section(subject),
        workloads_section(),
        installation_section(subject),
        expectations_section(subject),
        models_section(subject),
        options_section(subject),
        optimisations_section(subject),
        measured_section(subject),
        next_steps_section(subject, answer),
        acceptance_section(subject),
        troubleshooting_section(subject),
        local_only_section(subject),
        appendix_section(subject, header),
    ]
    return settled(
        Report(
            kind="report",
            schema_version=SCHEMA_VERSION,
            header=header,
            outcome=answer,
            subjects=(subject,),
            sections=tuple(section for section in found if section is not None),
        )
    )
