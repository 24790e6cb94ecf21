"""What a check found, how a list of findings is printed, and the exit code that it means."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipelines.console.exit_codes import EXIT_DONE, EXIT_FAULT, code_of
from schemas.errors import CorruptFileError, ThresholdError, UsageError, printable
from schemas.quarantine import quote

OK, WARNING, FAILED = "ok", "warning", "FAILED"
_MOST_SHOWN = 20
_MOST_CHARACTERS = 120


@dataclass
class Finding:
    """One check. problems: what is wrong; warnings: what a person should know; none of either: all is well. exit_code:
    what a command that meets the first of the problems ends with, EXIT_DONE without any."""

    check: str
    looked_at: str = ""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    exit_code: int = EXIT_DONE

    @property
    def status(self) -> str:
        """OK, WARNING or FAILED."""
        return FAILED if self.problems else WARNING if self.warnings else OK

    def fail(self, problem: str, exit_code: int = EXIT_FAULT) -> None:
        """Adds a problem: expected, got, where, what to do."""
        self.exit_code = self.exit_code or exit_code
        self.problems.append(problem)

    def warn(self, warning: str) -> None:
        """Adds a warning."""
        self.warnings.append(warning)

    @contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Turns whatever is raised inside into a problem: damaged files raise anything, and the other checks go on."""
        try:
            yield
        except (CorruptFileError, UsageError, ThresholdError) as error:
            self.fail(str(error), code_of(error))
        except Exception as error:
            self.fail(f"expected to read {where}, got {type(error).__name__}: {error}")

    def expect(self, what: str, expected: Any, got: Any, remedy: str) -> bool:
        """Adds a problem unless the two are equal; returns whether they are."""
        if expected != got:
            self.fail(f"expected {what} {expected}, got {got}: {remedy}")
        return bool(expected == got)

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "looked_at": self.looked_at,
            "problems": self.problems,
            "status": self.status,
            "warnings": self.warnings,
        }


def brief(value: object, most: int = 80) -> str:
    """An untrusted value quoted in about `most` characters: beginning and end, which tell paths apart.

    >>> brief("a/" * 100 + "b.jpg", 20)
    "'a/a/a/a/…a/a/b.jpg'"
    """
    if isinstance(value, str):
        text = repr(value if len(value) <= 2 * most else value[:most] + value[-most:])
    else:
        text = quote(value)
    text = text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most // 2) :]}"
    return quote(text) if not text.isprintable() else text


def cut_short(text: object) -> str:
    """What was got instead, as a message says it, at a length for a checklist."""
    return printable(str(text)) if len(str(text)) <= _MOST_CHARACTERS else brief(text, _MOST_CHARACTERS)


def format_findings(findings: Sequence[Finding]) -> str:
    """A line a check, its problems and warnings indented below: the first few of many, and how many more."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8} {finding.check:<{width}}  {finding.looked_at}".rstrip())
        for mark, texts in (("", finding.problems), ("warning: ", finding.warnings)):
            lines += [f"         - {mark}{text}" for text in texts[:_MOST_SHOWN]]
            if len(texts) > _MOST_SHOWN:
                lines.append(f"         - and {len(texts) - _MOST_SHOWN:,} more (--json lists all)")
    return "\n".join(map(printable, lines))


def report(findings: Sequence[Finding], subject: str, as_json: bool) -> int:
    """Prints the findings, as JSON or for a person with a last line on the whole; returns the exit code of the first
    problem."""
    num_failed = sum(finding.status == FAILED for finding in findings)
    if as_json:
        print(json.dumps({"failed": num_failed, "findings": [f.to_json() for f in findings], "of": subject}, indent=1))
    else:
        print(format_findings(findings))
        num_warned = sum(bool(finding.warnings) for finding in findings)
        verdict = f"{num_failed} of {len(findings)} checks FAILED" if num_failed else f"{len(findings)} checks passed"
        print(printable(f"{verdict}, {num_warned} with warnings: {subject}"))
    return next((finding.exit_code for finding in findings if finding.exit_code), EXIT_DONE)
