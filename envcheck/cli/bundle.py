"""`envcheck bundle`: everything an installation needs, in one folder, for a machine without network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from envcheck.cli._machine import snapshot_of
from envcheck.cli._progress import shown


@click.command("bundle")
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the wheelhouse.")
@click.option("--assume", "assume_file", type=click.Path(path_type=Path), help="Bundle for a hypothetical machine.")
@click.option(
    "--target-facts", "--from", "from_file", type=click.Path(path_type=Path), help="Bundle for a snapshot's machine."
)
@click.option("--python", "target_python", metavar="PATH", help="Interpreter of the target environment.")
@click.option("--pin", "pins", multiple=True, metavar="NAME==VERSION", help="Hold a package at a version.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Policy file (default: envcheck.toml).")
def COMMAND(  # noqa: N802
    profiles: tuple[str, ...],
    output: Path,
    assume_file: Path | None,
    from_file: Path | None,
    target_python: str | None,
    pins: tuple[str, ...],
    policy_file: Path | None,
) -> int:
    """Fetch the wheels of PROFILE with lock, hashes, licences and a CycloneDX bill of materials.

    Install them elsewhere with `envcheck install PROFILE --offline --wheelhouse DIR`.
    """
    from envcheck import api, bundling

    snapshot = snapshot_of(from_file, assume_file, target_python, 1, 2.0, no_ports=True)
    with shown() as progress:
        made = bundling.make_bundle(
            snapshot,
            profiles,
            output,
            here=not (assume_file or from_file),
            pins=pins,
            policy=api.policy_of(policy_file),
            stamp=datetime.now(UTC).isoformat(timespec="seconds"),
            progress=progress,
        )
    click.echo(f"{made.files} wheels, {made.size_bytes / 1e6:.0f} MB, for {made.platform or 'this machine'}: {output}")
    return 0
