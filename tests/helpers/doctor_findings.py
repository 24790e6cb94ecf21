"""What the checklist before a run has found."""

from pipelines.operations.findings import Finding


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    """Each finding by the name of its check."""
    return {finding.check: finding for finding in findings}
