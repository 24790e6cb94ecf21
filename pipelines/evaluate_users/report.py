"""The evaluation of users as one Markdown page. No date of its own and no machine: equal figures, equal bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.measures.resampling import LEAST_CLUSTERS
from model.users.baselines import DECAY_PER_DAY
from model.users.evaluation import RELEVANT_COSINE
from model.users.month_ahead import CUTS, MIN_ITEM_ACTIONS, QUESTIONS
from model.users.ranking import IMPRESSIONS_AN_ITEM
from pipelines.console.terminal import found_in_words, markdown_table
from schemas.quarantine import quote

_METRICS = {
    "relevance": "relevance",
    "recall": "recall",
    "r_precision": "R-precision",
    "reciprocal_rank": "reciprocal rank",
}
#: What several vectors are compared by: relevance is a cosine of each one's own.
COMPARED = ("recall", "r_precision", "reciprocal_rank")
Figures = Mapping[str, float | None]
_INTERVALS = (
    "- [intervals] are 95 % bootstrap intervals; users are drawn, not user-days; fewer than "
    f"{LEAST_CLUSTERS} users have none"
)


def format_page(report: Mapping[str, Any], notes: str | None = None) -> str:
    """The page of a report of evaluate_users.run. notes: Markdown that a person wrote to end it."""
    walk = report["walk_forward"]
    rows = found_in_words(report["rows"])
    lines = [
        "# Several vectors per user: evaluation on past days",
        "",
        f"    {report['command']}",
        "",
        f"- item vectors: model {quote(report['model_id'])}, {report['items']:,} items, "
        f"{report['distinct_vectors']:,} distinct vectors",
        f"- alpha {report['alpha']:g} ({report['alpha_from']}) where nothing else is said{_calibrated(report)}",
        f"- actions {', '.join(report['actions'])}; history {report['window_days']} days; importance decays by "
        f"λ = {DECAY_PER_DAY:g} a day where nothing else is said",
        f"- rows of the log: {rows}",
        _INTERVALS,
        *_warnings(report),
        "",
        f"## Walk forward, {report['from_date']} to {report['to_date']}",
        "",
        *_about_walk(walk),
        "",
        f"Lift over {walk['baseline']}, %:",
        "",
        *_walk_table(walk, lift=True),
        "",
        "The same, absolute; **bold** is what our method is shown to have more than the best of the others, which are "
        "not PinnerSage:",
        "",
        *_walk_table(walk, lift=False),
        "",
        *_over_best(walk),
        "",
        "PinnerSage at other alphas, with e medoids sampled or the e most important ones (relevance / "
        f"recall@{walk['list_length']}): few sampled ones need few, large clusters. On the same days: no choice may be "
        "made by it.",
        "",
        *_alpha_table(walk["alpha_by_num"]),
        "",
        f"## The whole period at once, {report['from_date']} to {report['to_date']}, users as before it",
        "",
        *_month(report["month_ahead"]),
        *([] if notes is None else ["", "## Reading the figures", "", notes]),
    ]
    return "\n".join(lines) + "\n"


def _warnings(report: Mapping[str, Any]) -> list[str]:
    return [f"- **Warning**: {warning}" for warning in report["warnings"]]


def format_comparison(report: Mapping[str, Any], notes: str | None = None) -> str:
    """The page of several item vectors side by side. notes: Markdown that a person wrote to end it."""
    vectors, names = report["vectors"], {**_METRICS, "recall": f"recall@{report['list_length']}"}
    first, used = vectors[0]["name"], report["rows"].get("rows_used", 0)
    kept = f"{report['actions_kept']:,} of {used:,} rows are on them"
    lines = [
        "# Several vectors per user, on several item vectors",
        "",
        f"    {report['command']}",
        "",
        f"- {report['items']:,} items that all vectors have; {kept}, the others are left out for all vectors alike",
        *_warnings(report),
        f"- rows of the log: {found_in_words(report['rows'])}",
        f"- {report['days']} days, {report['from_date']} to {report['to_date']}: {report['users']:,} users, "
        f"{report['user_days']:,} user-days of {report['items_a_user_day']:.1f} items on average; history "
        f"{report['window_days']} days; {report['list_length']} recommended items",
        _INTERVALS,
        f"- `*`: the paired difference to `{first}` has an interval that leaves 0 out",
        "- relevance is left out: a cosine of .8 is another nearness in each of the vectors",
        "",
        *_vectors_table(report),
        "",
        *(line for metric in COMPARED for line in _metric_table(report, metric, names[metric])),
        f"{vectors[0]['over_best_baseline']['method']} over the best of the others, which are not PinnerSage, on the "
        "same vectors, %, paired:",
        "",
        *_over_best_of(vectors, names),
        *([] if notes is None else ["", "## Reading the figures", "", notes]),
    ]
    return "\n".join(lines) + "\n"


def _vectors_table(report: Mapping[str, Any]) -> list[str]:
    header = ["vectors", "model", "items", "distinct, of the common", "alpha, e = 3", "calibrated choice"]
    rows = []
    for one, model, items in zip(report["vectors"], report["models"], report["items_of"], strict=True):
        chosen = one["calibrated"]
        choice = "none"
        if chosen is not None:
            choice = f"{'e =' if chosen['sampled'] else 'top'} {chosen['samples']}, alpha {chosen['alpha']:g}"
        distinct = f"{one['distinct_vectors']:,}"
        rows.append([one["name"], quote(model), f"{items:,}", distinct, f"{one['alpha']:g}", choice])
    return markdown_table(header, rows)


def _metric_table(report: Mapping[str, Any], metric: str, title: str) -> list[str]:
    vectors = [one["name"] for one in report["vectors"]]
    rows = []
    for method in report["methods"]:
        cells = []
        for name in vectors:
            figures = method[metric][name]
            cells.append(_absolute(figures) + ("*" if name != vectors[0] and _is_shown(figures) else ""))
        rows.append([method["method"], *cells])
    return [f"## {title[0].upper()}{title[1:]}", "", *markdown_table(["method", *vectors], rows), ""]


def _is_shown(figures: Figures) -> bool:
    """
    >>> _is_shown({"lift_low": 0.5, "lift_high": 2.0}), _is_shown({"lift_low": -0.5, "lift_high": 2.0})
    (True, False)
    """
    low, high = figures["lift_low"], figures["lift_high"]
    return low is not None and high is not None and (low > 0 or high < 0)


def _over_best_of(vectors: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    rows = []
    for one in vectors:
        for metric in COMPARED:
            found = one["over_best_baseline"]["metrics"][metric]
            rows.append([one["name"], names[metric], found["baseline"], _lift(found)])
    return markdown_table(["vectors", "metric", "best of the others", "lift"], rows)


def _calibrated(report: Mapping[str, Any]) -> str:
    chosen = report["calibrated"]
    if chosen is None:
        return ""
    how = "e =" if chosen["sampled"] else "top"
    return (
        f"; calibrated choice: {how} {chosen['samples']}, alpha {chosen['alpha']:g}, of the {chosen['days']} days up "
        f"to {chosen['date']}"
    )


def _about_walk(walk: Mapping[str, Any]) -> list[str]:
    top = walk["list_length"]
    shown = {
        "drawn": "items that others acted on that day, drawn with a seed, since the log has no impressions",
        "of the log": "those of the log, filled up with items that others acted on that day",
    }[walk["impressions"]]
    return [
        f"{walk['days']} days, {walk['users']:,} users, {walk['user_days']:,} user-days of "
        f"{walk['items_a_user_day']:.1f} items on average. {top} recommended items, floor({top} / e) for each query. "
        f"Relevance: share of the day's items with a cosine of at least {RELEVANT_COSINE:g} to a recommended one; "
        "recall: share that is recommended itself, also of items that the user has seen. Ranking: against "
        f"{IMPRESSIONS_AN_ITEM} impressions an item ({shown}); R-precision: share of the R items among the first R; "
        "reciprocal rank: mean over the items. Clusters: median over user-days.",
    ]


def _walk_table(walk: Mapping[str, Any], lift: bool) -> list[str]:
    show = _lift if lift else _absolute
    header = ["method", *_names(walk).values(), *([] if lift else ["clusters"])]
    over = walk["over_best_baseline"]
    bold = {name for name in _METRICS if not lift and (over["metrics"][name]["lift_low"] or 0.0) > 0}
    rows = []
    for m in walk["methods"]:
        cells = [
            f"**{show(m[name])}**" if name in bold and m["method"] == over["method"] else show(m[name])
            for name in _METRICS
        ]
        rows.append([m["method"], *cells, *([] if lift else [f"{m['clusters_median']:g}"])])
    return markdown_table(header, rows)


def _over_best(walk: Mapping[str, Any]) -> list[str]:
    """What our method has more than the best baseline of each metric, chosen on these very days, to its advantage."""
    over, names = walk["over_best_baseline"], _names(walk)
    rows = [[names[name], found["baseline"], _lift(found)] for name, found in over["metrics"].items()]
    return [
        f"{over['method']} over the best baseline of each metric, %, paired:",
        "",
        *markdown_table(["metric", "best baseline", "lift"], rows),
    ]


def _names(walk: Mapping[str, Any]) -> dict[str, str]:
    """How the metrics are called."""
    return {**_METRICS, "recall": f"recall@{walk['list_length']}"}


def _alpha_table(grid: Sequence[Mapping[str, Any]]) -> list[str]:
    kinds = list(dict.fromkeys((point["num"], point["sampled"]) for point in grid))
    header = ["alpha", "clusters", *(f"e = {num}" if sampled else f"top {num}" for num, sampled in kinds)]
    rows: dict[float, list[str]] = {}
    for point in grid:
        row = rows.setdefault(point["alpha"], [f"{point['alpha']:g}", f"{point['clusters_median']:g}"])
        row.append(f"{point['relevance']:.3f} / {point['recall']:.3f}".replace("0.", "."))
    return markdown_table(header, rows.values())


def _month(month: Mapping[str, Any] | None) -> list[str]:
    if month is None:
        return ["Not measured: no user with history acted on an item with enough actions before the period."]
    metrics = [(question, cut) for question in QUESTIONS for cut in CUTS]
    header = ["method", *(f"recall@{cut}, {question}" for question, cut in metrics)]
    found = {(m["method"], m["popularity_weight"]): m for m in month["methods"]}
    rows = []
    for name in dict.fromkeys(m["method"] for m in month["methods"]):
        rows.append([name, *(_absolute(found[name, 0.0][f"{q}_recall@{cut}"]) for q, cut in metrics)])
    for name in month["weights"][QUESTIONS[0]]:
        weights = {question: month["weights"][question][name] for question in QUESTIONS}
        cells = [_absolute(found[name, weights[q]][f"{q}_recall@{cut}"]) for q, cut in metrics]
        said = " / ".join(f"{weights[question]:g}" for question in QUESTIONS)
        rows.append([f"{name}, popularity {said}", *cells])
    return [
        f"{month['users']:,} users with history; {month['candidates']:,} candidates (items with at least "
        f"{MIN_ITEM_ACTIONS} actions before the period); relevant: the candidates acted on in the period. New: to the "
        f"user, {month['users_with_new_items']:,} users; seen items are left out of the list and of what is relevant.",
        "",
        "Popularity a / b: score = cosine + weight x log(1 + users) / log(1 + most users), weight a for all items and b"
        f" for new ones, each chosen by recall@{max(CUTS)} on the period of equal length before "
        f"({month['validation_users']:,} users). Where the item model was trained on that earlier period too, its "
        "vectors fit it better than they fit later days, and the weights may be too low.",
        "",
        *markdown_table(header, rows),
    ]


def _lift(figures: Figures) -> str:
    """
    >>> _lift({"lift": 12.34, "lift_low": -1.0, "lift_high": 20.0})
    '+12 [-1, +20]'
    >>> _lift({"lift": 12.34, "lift_low": None, "lift_high": None})
    '+12'
    """
    return _shown(figures, "lift", "+.0f")


def _absolute(figures: Figures) -> str:
    """
    >>> _absolute({"mean": 0.12345, "low": 0.1, "high": 0.2})
    '.123 [.100, .200]'
    """
    return _shown({**figures, "mean_low": figures["low"], "mean_high": figures["high"]}, "mean", ".3f").replace(
        "0.", "."
    )


def _shown(figures: Figures, name: str, how: str) -> str:
    if figures[name] is None:
        return "-"
    low, high = figures[f"{name}_low"], figures[f"{name}_high"]
    bounds = "" if low is None or high is None else f" [{low:{how}}, {high:{how}}]"
    return f"{figures[name]:{how}}{bounds}"
