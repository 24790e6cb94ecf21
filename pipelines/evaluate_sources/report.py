"""The table of item vectors by task as one Markdown page. No date and no machine: equal figures, equal bytes."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from model.measures.attribute_probe import F1, MAJORITY, TEXT
from model.measures.auc import AUC
from model.measures.cart_returns import CLASSIFIERS
from model.measures.clicked_bought import PAIR_COSINE, RANDOM_COSINE
from model.measures.comparison import is_shown
from model.measures.log_rows import CLICK
from model.measures.one_embedding import ATTRIBUTES, CART_RETURNS, CLICKED_BOUGHT
from model.measures.resampling import LEAST_CLUSTERS
from pipelines.console.terminal import found_in_words, markdown_table
from pipelines.evaluate_sources.measure import COUNTED, RANDOM
from pipelines.one_embedding.catalogue import fields_of
from schemas.days import instant_in_words
from schemas.quarantine import quote

_SEEN = "†"
Figures = Mapping[str, Any]


def format_page(report: Mapping[str, Any]) -> str:
    """The page of a report of evaluate_sources.run."""
    lines = ["# Item vectors of each source, by task", "", f"    {report['command']}", "", *_about(report)]
    lines += ["", "## The vectors", "", *_sources(report)]
    lines += ["", "## Does a vector tell an item's attributes?", "", *_attributes(report)]
    asked = (
        "what a session clicked near what it bought" if _has_clicks(report) else "what a session bought near the rest"
    )
    lines += ["", f"## Is {asked}?", "", *_clicked_bought(report)]
    lines += ["", "## Does what was bought come back?", "", *_cart_returns(report)]
    if report["left_out"]:
        lines += ["", "## Left out", ""]
        lines += [f"- {name.replace('_', ' ')}: {why}" for name, why in report["left_out"].items()]
    return "\n".join(lines) + "\n"


def _about(report: Mapping[str, Any]) -> list[str]:
    rows = found_in_words(report["rows"])
    return [
        f"- {report['items']:,} items in {report['families']:,} families, {report['cold_items']:,} cold: not "
        f"{_popular(report)} up to {report['split_date']} ({report['time_zone']}); rows of the log: {rows}",
        *_seeds(report),
        f"- `*`: the paired difference to `{report['reference']}` has an interval that leaves 0 out; fewer than "
        f"{LEAST_CLUSTERS} sessions, of attributes families, have none",
        "- an item without a vector is a row of zeros: it has cosine 0 with all, and a probe can say but one value of "
        "all such items",
    ]


def _seeds(report: Mapping[str, Any]) -> list[str]:
    """What a figure is of, and what its ± is not."""
    seeds = report["seeds"]
    tested = f"{report['tested_of_reserved']:.0%}".replace("%", " %")
    if seeds == 1:
        return [
            f"- figures are of one seed, [their 95 % bootstrap interval]; it draws which families test, {tested} of "
            "a half of all families, and which random items stand in pairs, not how a source was trained"
        ]
    return [
        f"- figures are mean ± standard deviation of {seeds} seeds, [the 95 % bootstrap interval of the first]; those "
        "of returns know no seed",
        f"- a seed draws which families test, {tested} of a half of all families, the same half for every seed (labels "
        "of the other may have chosen weights), and which random items stand in pairs, not how a source was trained; "
        "so seeds test many of the same items, and ± is less than other items would give: whether a difference is "
        "shown is said by intervals alone",
    ]


def _sources(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            one["name"],
            quote(one["model_id"]).strip("'"),
            f"{one['dimension']:,}",
            f"{one['items']:,}",
            *(_learnt_from(one) if one["is_told"] else ("not told", "not told")),
        ]
        for one in report["sources"]
    ]
    return markdown_table(["source", "id", "dimension", "items", "log before", "fields read"], rows)


def _learnt_from(source: Mapping[str, Any]) -> tuple[str, str]:
    """(the day before which its log ends, the fields that it has read)."""
    fields = "all text" if TEXT in _text_of(source) else ("attributes" if source["seen"] else "none")
    return "none" if source["log_end_us"] is None else _day_of(source["log_end_us"]), fields


def _text_of(source: Mapping[str, Any]) -> Sequence[str]:
    """[TEXT] of a source that has read titles."""
    return [TEXT] if "title" in source["seen"] else []


def _attributes(report: Mapping[str, Any]) -> list[str]:
    found = report[ATTRIBUTES]
    if not found:
        return ["Not measured, see below."]
    lines = [
        "Macro-F1 of a linear probe that learns on other families. `majority` says the most frequent value; `text` is "
        f"the same probe on the words of all text without the fields asked for. {_SEEN}: the source has read the field "
        "that is asked for, so that its figure says how well it repeats it.",
    ]
    for part, name in (("all", "All items"), ("cold", "Cold items")):
        there = [attribute for attribute in found if found[attribute][part] is not None]
        if not there:
            continue
        sizes = ", ".join(
            f"{attribute} {found[attribute]['test_items' if part == 'all' else 'cold_items']:,} of "
            f"{found[attribute]['values']} values"
            for attribute in there
        )
        lines += ["", f"{name} ({sizes}):", ""]
        rows = []
        for method in (MAJORITY, TEXT, *_names(report)):
            cells = [
                _cell(found[attribute][part][method], F1) + _seen_mark(report, method, attribute) for attribute in there
            ]
            rows.append([method, *cells])
        lines += markdown_table(["source", *there], rows)
    return lines


def _clicked_bought(report: Mapping[str, Any]) -> list[str]:
    found = report[CLICKED_BOUGHT]
    if found is None:
        return ["Not measured, see below."]
    rows = []
    for method in (TEXT, COUNTED, *_names(report)):
        figures = found["all"][method]
        cosines = [f"{figures[name]:.3f}" for name in (PAIR_COSINE, RANDOM_COSINE)]
        rows.append([method, _cell(figures, AUC), *cosines, *_parts(found, method)])
    header = ["source", "AUC", "cosine of pairs", "of random ones", "AUC, cold", "AUC, warm"]
    pairs = "(clicked, bought)" if _has_clicks(report) else "of items bought together (the log has no click)"
    return [
        f"{found['pairs']:,} pairs {pairs} of {found['sessions']:,} sessions after the split, and as many random ones: "
        f"the bought item and one that was {_popular(report)} about as often before the split as the other of the "
        "pair. AUC: how often any of these pairs has a higher cosine than any of the random ones, of all sessions "
        f"together, ties half; it is not each pair against its own. Cold: the {found['cold_pairs']:,} pairs of which "
        f"one item is, and their random ones. `{COUNTED}` counts those before the split that engaged with both items, "
        "as a cosine.",
        "",
        *markdown_table(header, rows),
    ]


def _cart_returns(report: Mapping[str, Any]) -> list[str]:
    found = report[CART_RETURNS]
    if found is None:
        return ["Not measured, see below."]
    lines = [
        f"{found['test_rows']:,} items bought after the split, {found['test_returned']:,} of them returned within "
        f"{report['return_days']:g} days; the classifiers learn from {found['rows'] - found['test_rows']:,} "
        f"({found['returned'] - found['test_returned']:,} returned) whose returns were known at the split. AUC; 0.5 is "
        f"chance, `{RANDOM}` a vector that tells which item it is and nothing of it.",
        "",
    ]
    methods = list(found[CLASSIFIERS[0]]["all"])
    rows = [
        [
            method,
            *(
                cell
                for one in CLASSIFIERS
                for cell in (_cell(found[one]["all"][method], AUC), *_parts(found[one], method))
            ),
        ]
        for method in methods
    ]
    header = ["source", *(name for one in CLASSIFIERS for name in (one, f"{one}, cold", f"{one}, warm"))]
    return [*lines, *markdown_table(header, rows)]


def _has_clicks(report: Mapping[str, Any]) -> bool:
    return bool(report["interest"] == CLICK)


def _popular(report: Mapping[str, Any]) -> str:
    return "clicked" if _has_clicks(report) else "bought"


def _parts(found: Mapping[str, Any], method: str) -> Iterator[str]:
    for part in ("cold", "warm"):
        yield "" if found[part] is None else _cell(found[part][method], AUC)


def _names(report: Mapping[str, Any]) -> list[str]:
    return [one["name"] for one in report["sources"]]


def _seen_mark(report: Mapping[str, Any], method: str, attribute: str) -> str:
    """After the figure of a source that has read what it is asked for."""
    seen = {one["name"]: one["seen"] for one in report["sources"]}.get(method, ())
    return _SEEN if set(seen) & set(fields_of(attribute)) else ""


def _cell(figures: Figures, metric: str) -> str:
    """
    >>> more = {"auc": 0.1, "auc_low": 0.01, "auc_high": 0.2}
    >>> _cell({"auc": 0.5, "auc_low": 0.4, "auc_high": 0.6, "by_seed": [0.5, 0.7], "more": more}, "auc")
    '.600 ± .141 [.400, .600]*'
    >>> few = {"auc": 0.5, "auc_low": None, "auc_high": None}
    >>> _cell({**few, "more": few}, "auc"), _cell({**few, "auc": None}, "auc")
    ('.500', 'none')
    """
    if figures[metric] is None:
        return "none"
    values = [value for value in figures.get("by_seed", [figures[metric]]) if value is not None]
    spread = f" ± {_figure(statistics.stdev(values))}" if len(values) > 1 else ""
    low, high = figures[f"{metric}_low"], figures[f"{metric}_high"]
    bounds = "" if low is None or high is None else f" [{_figure(low)}, {_figure(high)}]"
    is_other = "more" in figures and is_shown(figures["more"], metric)
    return f"{_figure(statistics.fmean(values))}{spread}{bounds}{'*' if is_other else ''}"


def _figure(value: float) -> str:
    """
    >>> _figure(0.5), _figure(1.0)
    ('.500', '1.000')
    """
    return f"{value:.3f}".removeprefix("0")


def _day_of(time_us: int) -> str:
    """
    >>> _day_of(86_400_000_000)
    '1970-01-02'
    """
    return instant_in_words(time_us).removesuffix(" UTC").removesuffix(" 00:00")
