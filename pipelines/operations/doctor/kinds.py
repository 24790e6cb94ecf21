"""Whether rows of other kinds stand below the products of the catalogue, as `itemsage init` refuses to begin with."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipelines.operations.findings import Finding
from schemas import storage
from schemas.coercion.cells import BatchFindings
from schemas.coercion.columns import text_column
from schemas.columns.mapping import table_columns
from schemas.columns.names import bare_name, plain_name
from schemas.columns.spec import column_of
from schemas.reading.input_files import column_names, format_of
from schemas.reading.rows import read_table
from schemas.tables import LEAVE_OUT
from schemas.validation.kinds_of_rows import nameless_parts


@dataclass(frozen=True)
class _Column:
    """See schemas.validation.kinds_of_rows.Column."""

    name: str
    values: Sequence[str | None]

    @cached_property
    def texts(self) -> Sequence[str]:
        return [text for text in self.values if text is not None]

    @property
    def is_distinct(self) -> bool:
        return bool(self.texts) and len(set(self.texts)) == len(self.texts)


@dataclass(frozen=True)
class _Table:
    """See schemas.validation.kinds_of_rows.Table."""

    files: Sequence[str]
    columns: Mapping[str, _Column]

    def column(self, names: Collection[str]) -> _Column | None:
        found: dict[str, _Column] = {}
        for plain_of in (plain_name, bare_name):
            for name, column in self.columns.items():
                found.setdefault(plain_of(name), column)
        return next((found[name] for name in map(plain_name, names) if name in found), None)


def warn_of_parts(files: Sequence[str], columns: Mapping[str, Any], finding: Finding) -> None:
    """Adds a warning if the first rows of a delimited text, as such exports are, have some of which only their place
    says whose they are; not where `leave_out` goes by the column that tells them apart."""
    path = next((path for path in sorted(files) if storage.size_of(path)), None)
    if path is None or format_of(path) != "csv":
        return
    told_apart = column_of(table_columns(columns, "catalogue"), LEAVE_OUT.name).source
    seen = {name: column for name, column in _first_columns(path).items() if name not in told_apart}
    if told := nameless_parts(_Table([path], seen)):
        finding.warn(told)


def _first_columns(path: str) -> dict[str, _Column]:
    """The columns of the first rows of a file, by name, without those whose name is there twice."""
    names = column_names(path)
    schema = pa.schema([pa.field(name, pa.string()) for name in names if names.count(name) == 1])
    first = next(read_table([path], {}, schema), None)
    if first is None:
        return {}
    _, raw = first
    texts = {name: text_column(raw, name, BatchFindings()).to_pylist() for name in schema.names}
    return {
        name: _Column(name, [text if text is not None and text.strip() else None for text in values])
        for name, values in texts.items()
    }
