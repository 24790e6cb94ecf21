"""What a table of `itemsage ablate` is: rows that differ by one switch, and the order that a paper found.

A row is a training with a few switches set; everything else is as the call says. Rows of different tables that come to
the same configuration are one training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: What "first", compared with "second", should be.
Expectation = Literal["better", "no worse", "equal"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """switches: fields of ItemSageConfig and TrainingConfig. preparation: flags of `itemsage train` by which the
    data are made. is_trained: False measures the start. dim: how many of the first dimensions of the vectors are
    compared, None for all; one below output_dim must be among the switch nested_dims."""

    name: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, str] = field(default_factory=dict)
    is_trained: bool = True
    dim: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the paper found of two rows of a table. task: whose pairs are compared by; None: all."""

    first: str
    expected: Expectation
    second: str
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """finding: what the paper found, a sentence. about: what a reader must know of the rows; may be empty."""

    name: str
    title: str
    finding: str
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the tables depend on. tasks: task -> training pairs, of the engagement tasks that the test part has too.
    has_pseudo_queries: whether there are pairs of pseudo-queries."""

    tasks: Mapping[str, int]
    has_pictures: bool
    has_pseudo_queries: bool
