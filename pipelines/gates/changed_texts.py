"""The gate that sees columns exchanged, texts at other items and letters of another encoding: the cells of the items
that both days have.

Gates of shares and of vectors do not see them: a catalogue whose titles and descriptions have changed places has as
many of both, and its items are still neighbours of each other.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.console.thresholds import GateThresholds
from pipelines.gates.fields import field_count
from pipelines.gates.results import GateResult, judged, number, rounded, skipped
from pipelines.run.opened import Run
from schemas.quarantine import quote
from schemas.tables import TEXT_FIELDS

NAME = "changed_texts"
_STAGE = "items"
#: Of the changed cells of a field, how many must be explained by what a message says of them.
_MOST = 0.5
#: Changed cells of a field that are looked for among yesterday's, and the share of them that must be as frequent there.
_MAX_SAMPLE, _AS_FREQUENT = 1_000, 0.8


@dataclass(eq=False)
class TextChanges:
    """What became of the cells of items that both days have, in counts by field; cells are counted that are filled on
    both days.

    filled: all; changed: those that differ, but for spoilt and mended ones, that are yesterday's (today's) in a wrong
    encoding. lettered: those with letters beyond ASCII yesterday, of the files that differ. moved: (field, other) ->
    changed cells that are yesterday's of the other field. read: cells of today that were looked at. samples: changed
    cells of today; examples: a spoilt cell as it was and is.
    """

    filled: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    lettered: Counter[str] = field(default_factory=Counter)
    spoilt: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)
    examples: dict[str, tuple[str, str]] = field(default_factory=dict)

    def share(self, name: str) -> float:
        """Of a field's cells, those that have changed."""
        return rounded(self.changed[name] / max(1, self.filled[name]))

    def spoilt_share(self, name: str) -> float:
        """Of a field's cells with letters beyond ASCII, those in a wrong encoding."""
        return rounded(self.spoilt[name] / max(1, self.lettered[name]))

    def fallen(self, thresholds: GateThresholds) -> list[str]:
        """The fields of which too many cells have changed."""
        return self._too_many(self.changed, self.share, thresholds)

    def in_wrong_encoding(self, thresholds: GateThresholds) -> list[str]:
        """The fields of which too many cells are spoilt."""
        return self._too_many(self.spoilt, self.spoilt_share, thresholds)

    def source_of(self, name: str) -> str | None:
        """The field whose cells of yesterday most of the changed cells of a field are; None if there is none."""
        other = max(TEXT_FIELDS, key=lambda other: self.moved[name, other])
        return other if self.moved[name, other] > _MOST * self.changed[name] else None

    @staticmethod
    def _too_many(counts: Counter[str], share: Callable[[str], float], thresholds: GateThresholds) -> list[str]:
        most, spared = thresholds.max_changed_texts, thresholds.min_quarantined
        return [name for name in TEXT_FIELDS if counts[name] >= max(spared, 1) and share(name) > most]


def check_texts(today: Run, yesterday: Run, thresholds: GateThresholds) -> GateResult:
    """check_changed_texts of two runs. Files of equal sha256 are not read; of the others ids and texts, file by file.
    Raises what reading a damaged run raises."""
    listed, before = today.listed(_STAGE), yesterday.listed(_STAGE)
    if listed.keys() != before.keys():
        return skipped(NAME, "not compared: the days have other buckets of items")
    changes, differing = TextChanges(), [name for name in sorted(listed) if listed[name] != before[name]]
    for name in differing:
        tables = [_read(run, name, ["item_id", *TEXT_FIELDS]) for run in (today, yesterday)]
        compare_texts(tables[0], tables[1], changes)
    counts = today.counts(_STAGE)
    for name in TEXT_FIELDS:  # in files of equal content every filled cell is so on both days
        changes.filled[name] += max(0, counts.get(field_count(name), 0) - changes.read[name])
    unexplained = [name for name in changes.fallen(thresholds) if changes.source_of(name) is None]
    shuffled = [name for name in unexplained if _is_shuffled(today, yesterday, differing, name, changes.samples[name])]
    return check_changed_texts(changes, thresholds, shuffled)


def compare_texts(today: pa.Table, yesterday: pa.Table, changes: TextChanges) -> None:
    """Adds what a bucket tells: item_id, unique within a day, and the text fields of both days."""
    place = pc.index_in(today["item_id"], value_set=yesterday["item_id"].combine_chunks())
    now, before = today.filter(place.is_valid()), yesterday.take(place.drop_null())
    for name in TEXT_FIELDS:
        changes.read[name] += pc.sum(_is_filled(today[name])).as_py() or 0
        both = pc.and_(_is_filled(now[name]), _is_filled(before[name]))
        lettered = pc.and_(both, pc.invert(pc.fill_null(pc.string_is_ascii(before[name]), True)))
        changes.filled[name] += pc.sum(both).as_py() or 0
        changes.lettered[name] += pc.sum(lettered).as_py() or 0
        differs = pc.and_(both, pc.fill_null(pc.not_equal(now[name], before[name]), False))
        if pc.any(differs).as_py():
            _add_changed(name, now.filter(differs), before.filter(differs), changes)


def _add_changed(name: str, now: pa.Table, before: pa.Table, changes: TextChanges) -> None:
    """Adds rows whose cells of a field differ."""
    is_other = []
    for is_text, was_text in zip(now[name].to_pylist(), before[name].to_pylist(), strict=True):
        spoilt = not was_text.isascii() and spoilt_letters(was_text, is_text)
        mended = not spoilt and not is_text.isascii() and spoilt_letters(is_text, was_text)
        changes.spoilt[name] += spoilt
        changes.mended[name] += mended
        is_other.append(not (spoilt or mended))
        if spoilt:
            changes.examples.setdefault(name, (was_text, is_text))
    now, before = now.filter(pa.array(is_other)), before.filter(pa.array(is_other))
    changes.changed[name] += len(now)
    for other in TEXT_FIELDS:
        if other != name:
            changes.moved[name, other] += pc.sum(pc.equal(now[name], before[other])).as_py() or 0
    sample = changes.samples.setdefault(name, [])
    sample += now[name].slice(0, _MAX_SAMPLE - len(sample)).to_pylist()


def spoilt_letters(text: str, found: str) -> bool:
    """Whether `found` is what becomes of a text when its UTF-8 is read as cp1252 or Latin-1, or when its letters beyond
    ASCII become question marks or marks of replacement. What such bytes have of blanks and controls may be cut.

    >>> spoilt_letters("Müller", "MÃ¼ller"), spoilt_letters("Müller", "M?ller"), spoilt_letters("Müller", "Mueller")
    (True, True, False)
    """
    ways = (
        text.encode("utf-8", "replace").decode("cp1252", "replace"),
        text.encode("utf-8", "replace").decode("latin-1"),
        text.encode("ascii", "replace").decode("ascii"),
    )
    shown = _shown(found)
    lost = "\ufffd" in found and _shown(text.encode("ascii", "ignore").decode("ascii")) == shown
    return lost or any(_shown(way) == shown and way != text for way in ways)


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and not c.isspace() and c != "\ufffd")


def check_changed_texts(changes: TextChanges, thresholds: GateThresholds, shuffled: Collection[str] = ()) -> GateResult:
    """The share of each field's cells that have changed, and that are in a wrong encoding; a failure says which fields,
    and where their cells were yesterday. shuffled: fields whose cells are yesterday's of other items."""
    fallen, spoilt = changes.fallen(thresholds), changes.in_wrong_encoding(thresholds)
    worst = max(TEXT_FIELDS, key=changes.share)
    few = [name for name in TEXT_FIELDS if changes.share(name) > thresholds.max_changed_texts and name not in fallen]
    limit = number(thresholds.max_changed_texts)
    told = [] if spoilt and not fallen else [_changed_in_words(changes, fallen or [worst])]
    told += [*_moved_in_words(changes, fallen), *_shuffled_in_words(shuffled)]
    told += [_spoilt_in_words(changes, name) for name in spoilt]
    let_pass = f" (fewer than {thresholds.min_quarantined} items are let pass)" if few and not fallen else ""
    return judged(
        NAME,
        not (fallen or spoilt),
        f"{'; '.join(told)}: expected at most {limit} of each field{let_pass}",
        value=max(changes.share(worst), *(changes.spoilt_share(name) for name in TEXT_FIELDS)),
        threshold=thresholds.max_changed_texts,
    )


def _changed_in_words(changes: TextChanges, names: Sequence[str]) -> str:
    return "; ".join(
        f"{name} has changed in {changes.changed[name]:,} of {changes.filled[name]:,} items that have it on both days "
        f"({number(changes.share(name))})"
        for name in names
    )


def _moved_in_words(changes: TextChanges, fallen: Sequence[str]) -> Iterator[str]:
    source = {name: other for name in fallen if (other := changes.source_of(name)) is not None}
    pairs = [(name, other) for name, other in source.items() if source.get(other) == name]
    for name, other in pairs:
        if TEXT_FIELDS.index(name) < TEXT_FIELDS.index(other):
            yield f"{name} and {other} have each other's cells of yesterday"
    others = [f"{name} has those of {other}" for name, other in source.items() if (name, other) not in pairs]
    if others:
        yield f"of yesterday's cells {', '.join(others)}"


def _shuffled_in_words(shuffled: Collection[str]) -> Iterator[str]:
    if shuffled:
        yield f"{', '.join(shuffled)} {'has' if len(shuffled) == 1 else 'have'} yesterday's cells of other items"


def _spoilt_in_words(changes: TextChanges, name: str) -> str:
    was_text, is_text = changes.examples[name]
    return (
        f"{changes.spoilt[name]:,} of {changes.lettered[name]:,} cells of {name} with letters beyond ASCII are "
        f"yesterday's in a wrong encoding: {quote(was_text)} is {quote(is_text)}"
    )


def _is_filled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.greater(pc.binary_length(column), 0), False)


def _is_shuffled(today: Run, yesterday: Run, files: Sequence[str], name: str, sample: Sequence[str]) -> bool:
    """Whether cells of a field, a sample of those that have changed, are as frequent in the files of both days."""
    values = pa.array(sorted(set(sample)), pa.string())
    now, before = (_frequencies(run, files, name, values) for run in (today, yesterday))
    return (now & before).total() >= _AS_FREQUENT * now.total() > 0


def _frequencies(run: Run, files: Sequence[str], name: str, values: pa.Array) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in files:
        cells = _read(run, path, [name])[name]
        for entry in pc.value_counts(cells.filter(pc.is_in(cells, value_set=values))).to_pylist():
            found[entry["values"]] += entry["counts"]
    return found


def _read(run: Run, name: str, columns: list[str]) -> pa.Table:
    return pq.read_table(run.checked(name), columns=columns, partitioning=None)
