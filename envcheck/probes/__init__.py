"""One file per section of the snapshot: how it is collected, and how the evidence is read.

A module exports `PROBE`, a `Probe`: `collect(host)` returns raw evidence as JSON values and is the only part
that touches the machine; `parse(evidence)` is pure, never raises on cut or garbled evidence, and returns
the section's record.
"""
