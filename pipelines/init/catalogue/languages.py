"""Tables with texts in several languages, a column or a field of an object for each: one is taken for all texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipelines.init.table.columns import SeenColumn
from pipelines.init.table.found import FoundColumn, Names, found_by_name
from pipelines.init.table.nested import last_name
from pipelines.init.table.seen import SeenTable
from schemas.columns.names import bare_name, language_in, plain_name
from schemas.columns.usual_names import TEXTS

#: The usual name of a column of texts, plain -> our column.
_OURS = {plain_name(name): ours for ours, sources in TEXTS.items() for names in sources for name in names}
#: Languages whose lines are written beside those of the one that is taken.
_MOST = 12


@dataclass(frozen=True)
class Languages:
    """Of a table's columns of texts those whose names tell a language: our column -> language -> the columns."""

    columns: Mapping[str, Mapping[str, Sequence[SeenColumn]]]

    @cached_property
    def names(self) -> list[str]:
        """The languages, the one that most cells are filled in first, of equals by name."""
        filled = Counter[str]()
        for by_language in self.columns.values():
            for language, columns in by_language.items():
                filled[language] += round(1_000 * max(column.share_readable for column in columns))
        return sorted(filled, key=lambda language: (-filled[language], language))

    def unnamed(self, language: str) -> frozenset[str]:
        """The columns in other languages, where ours is there in this one; else of the others the first is taken."""
        found = set[str]()
        for by_language in self.columns.values():
            taken = min(by_language, key=lambda other: self._rank(other, language))
            found.update(column.name for other, columns in by_language.items() if other != taken for column in columns)
        return frozenset(found)

    def _rank(self, other: str, language: str) -> tuple[bool, bool, int]:
        """First the language, then the same of another country, then the others in their order."""
        return other != language, other[:2] != language[:2], self.names.index(other)


def languages_of(table: SeenTable) -> Languages:
    """The languages of the columns that have one of our texts' usual names, where no column has that name itself."""
    own = set(map(plain_name, table.columns))
    found: dict[str, dict[str, list[SeenColumn]]] = {}
    for name, column in {**table.columns, **table.nested}.items():
        language = language_in(name) if column.filled else None
        plain = plain_name(last_name(name)) if "." in name else bare_name(name)
        if language is not None and plain in _OURS and (plain not in own or name.count(".") == 1):
            found.setdefault(_OURS[plain], {}).setdefault(language.replace("_", "-"), []).append(column)
    return Languages(found)


def found_in_one_language(table: SeenTable, names: Names) -> tuple[SeenTable, list[FoundColumn], list[str]]:
    """(the table, in which the texts of one language alone are found by name; what is found so, with what it is in the
    other languages as lines that nothing reads; what a person is asked)."""
    languages = languages_of(table)
    if len(languages.names) < 2:
        return table, found_by_name(table, names), []
    tables = [replace(table, unnamed=languages.unnamed(language)) for language in languages.names[:_MOST]]
    first, *others = [{one.name: one for one in found_by_name(found, names)} for found in tables]
    found = []
    for name, one in first.items():
        there = [other[name] for other in others if name in other and other[name].sources != one.sources]
        once = list({other.sources: other for other in there}.values())
        found.append(replace(one, others=(*one.others, *once)) if once and one.sources else one)
    return tables[0], found, _asked(languages, found)


def _asked(languages: Languages, found: Sequence[FoundColumn]) -> list[str]:
    """The question; [] where none of what is found has a language."""
    taken = languages.names[0]
    given: dict[str, list[str]] = {}
    for one in found:
        for language, columns in languages.columns.get(one.name, {}).items():
            if not {column.name for column in columns}.isdisjoint(one.sources):
                given.setdefault(language, []).append(one.name)
    if not given or (len(given) == 1 and not any(one.others for one in found)):
        return []
    alone = [f"{', '.join(ours)} in {language}" for language, ours in given.items() if language != taken]
    return [
        f"the texts are in several languages, {', '.join(languages.names[:_MOST])}: {taken} is taken for all"
        + (f", but {' and '.join(alone)}, which it lacks" if alone else "")
        + ". Another? Put # before their lines, and take it away before those of the other"
    ]
