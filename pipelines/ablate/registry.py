"""The tables of `itemsage ablate`, made of what the data have: the papers' own, and those of choices made here."""

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.ablate.tables import Comparison, Facts, Row, Table
from schemas.errors import UsageError
from schemas.quarantine import quote
from schemas.tables import PSEUDO_TASK

#: Actions whose pairs are few; ItemSage found that the other tasks lift them.
_SPARSE_ACTIONS = ("add_to_cart", "checkout")


def make_tables(names: Sequence[str], facts: Facts) -> tuple[list[Table], dict[str, str]]:
    """The tables of these names in the order of the registry, and why one is left out, by its title."""
    tables, left_out = [], {}
    for name in [name for name in TABLES if name in names]:
        made = TABLES[name](facts)
        if isinstance(made, Table):
            tables.append(made)
        else:
            title, why = made
            left_out[title] = why
    return tables, left_out


def names_of(given: str) -> list[str]:
    """The tables that `--tables` names, all for an empty one. Raises UsageError for unknown names."""
    names = [name.strip() for name in given.split(",") if name.strip()] or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        raise UsageError(f"expected --tables among {', '.join(TABLES)}, got {', '.join(map(quote, unknown))}")
    return names


def _aggregators(facts: Facts) -> Table:
    transformer, two, four = "transformer, 1 block", "transformer, 2 blocks", "transformer, 4 blocks"
    concat, sum_mlp, plain_sum, linear = "MLP-Concat-MLP", "Sum-MLP", "Sum", "linear"
    start = "transformer, 1 block, untrained"
    of_transformer = {"aggregator": "transformer", "num_layers": 1}

    def of(aggregator: str) -> dict[str, Any]:
        return {"aggregator": aggregator, "num_layers": 1, "dropout": 0.0}

    return Table(
        name="aggregators",
        title="How the item encoder puts text and pictures together",
        finding="ItemSage: one transformer block is above MLP-Concat-MLP, that above Sum-MLP and that above Sum; more "
        "blocks gain nothing.",
        rows=[
            Row(name=transformer, switches=of_transformer),
            Row(name=two, switches={**of_transformer, "num_layers": 2}),
            Row(name=four, switches={**of_transformer, "num_layers": 4}),
            Row(name=concat, switches=of("mlp_concat_mlp")),
            Row(name=sum_mlp, switches=of("sum_mlp")),
            Row(name=plain_sum, switches=of("sum")),
            Row(name=linear, switches=of("linear")),
            Row(name=start, switches=of_transformer, is_trained=False),
        ],
        comparisons=[
            Comparison(first=transformer, expected="better", second=concat),
            Comparison(first=concat, expected="better", second=sum_mlp),
            Comparison(first=sum_mlp, expected="better", second=plain_sum),
            Comparison(first=transformer, expected="no worse", second=two),
            Comparison(first=transformer, expected="no worse", second=four),
            Comparison(first=transformer, expected="better", second=start),
        ],
        about="The last row is the start of the first, which training has to beat.",
    )


def _modalities(facts: Facts) -> Table | tuple[str, str]:
    title = "Text, pictures, both"
    if not facts.has_pictures:
        return title, "no pictures are read, so there is nothing to switch off"
    both, text, pictures = "text and pictures", "text alone", "pictures alone"
    return Table(
        name="modalities",
        title=title,
        finding="ItemSage: both together are far above either alone.",
        rows=[
            Row(name=both, switches={"use_text": True, "use_pictures": True}),
            Row(name=text, switches={"use_text": True, "use_pictures": False}),
            Row(name=pictures, switches={"use_text": False, "use_pictures": True}),
        ],
        comparisons=[
            Comparison(first=both, expected="better", second=text),
            Comparison(first=both, expected="better", second=pictures),
        ],
        about="What is switched off is what the item encoder reads; queries keep both towers.",
    )


def _negatives(facts: Facts) -> Table:
    def switches(in_batch: bool, random: bool, joint: bool = False, mask_known: bool = True) -> dict[str, bool]:
        kinds = {"in_batch_negatives": in_batch, "random_negatives": random}
        return {**kinds, "joint": joint, "mask_known": mask_known}

    both, in_batch, random = "in-batch and random", "in-batch alone", "random alone"
    unmasked = "both, known positives not masked"
    return Table(
        name="negatives",
        title="Negatives",
        finding="ItemSage: in-batch and random negatives together are above either alone.",
        rows=[
            Row(name=both, switches=switches(True, True)),
            Row(name=in_batch, switches=switches(True, False)),
            Row(name=random, switches=switches(False, True)),
            Row(name="both under one denominator", switches=switches(True, True, joint=True)),
            Row(name=unmasked, switches=switches(True, True, mask_known=False)),
        ],
        comparisons=[
            Comparison(first=both, expected="better", second=in_batch),
            Comparison(first=both, expected="better", second=random),
            Comparison(first=both, expected="better", second=unmasked),
        ],
        about="The first row sums two softmaxes (ItemSage); the fourth is one over both kinds (Mixed Negative "
        "Sampling). In the last an item that the log has for a query may be a negative of it all the same.",
    )


def _logq(facts: Facts) -> Table:
    names = {
        "none": "none",
        "yi2019": "Yi et al. 2019: - log P(p) on every column",
        "itemsage": "ItemSage: - log P(p given q) on the positive",
        "negatives_only": "- log P(n) on negatives alone",
        "unbiased": "arXiv 2507.09331: negatives alone, rows weighed by the model's error",
    }
    return Table(
        name="logq",
        title="Correction of the logits for how negatives are drawn (logQ)",
        finding="Yi et al. 2019: a corrected softmax is above a plain one; arXiv 2507.09331: the positive must not be "
        "corrected, and rows are weighed by the model's error.",
        rows=[Row(name=name, switches={"correction": correction}) for correction, name in names.items()],
        comparisons=[
            Comparison(first=names["yi2019"], expected="better", second=names["none"]),
            Comparison(first=names["negatives_only"], expected="better", second=names["itemsage"]),
            Comparison(first=names["unbiased"], expected="better", second=names["yi2019"]),
        ],
        about="The fourth row has the corrections of arXiv 2507.09331 without its weights, the last both.",
    )


def _counts(facts: Facts) -> Table:
    exact, sketch = "exact", "count-min sketch"
    corrected = {"correction": "itemsage"}
    return Table(
        name="counts",
        title="How pairs are counted for logQ",
        finding="ItemSage: a count-min sketch does for the probabilities.",
        rows=[
            Row(name=exact, switches=corrected, preparation={"frequencies": "exact"}),
            Row(name=sketch, switches=corrected, preparation={"frequencies": "sketch"}),
        ],
        comparisons=[Comparison(first=sketch, expected="equal", second=exact)],
        about="Both with ItemSage's correction, which is the one that reads these counts.",
    )


def _tasks(facts: Facts) -> Table | tuple[str, str]:
    title = "Every task alone"
    if len(facts.tasks) < 2:
        return title, _one_task(facts)
    rest = (PSEUDO_TASK,) if facts.has_pseudo_queries else ()
    together = "all tasks"
    return Table(
        name="tasks",
        title=title,
        finding="ItemSage: training on all tasks lifts the sparse ones (add to cart, checkout) and does not hurt the "
        "others.",
        rows=[
            Row(name=together, switches={"tasks": ()}),
            *(Row(name=f"{task} alone", switches={"tasks": (task, *rest)}) for task in sorted(facts.tasks)),
        ],
        comparisons=[
            Comparison(
                first=together,
                expected="better" if task.split("/")[1] in _SPARSE_ACTIONS else "no worse",
                second=f"{task} alone",
                task=task,
            )
            for task in sorted(facts.tasks)
        ],
        about="A row says how a model that was trained, and its step chosen, on one task does on every task"
        + (", each with the pseudo-queries." if rest else ".")
        + " A task with few validation pairs keeps its last step, or its start.",
    )


def _task_mix(facts: Facts) -> Table | tuple[str, str]:
    title = "The mix of tasks in a batch"
    if len(facts.tasks) < 2:
        return title, _one_task(facts)
    equal, natural = "as many pairs of each task", "in proportion to their pairs"
    rarest = min(sorted(facts.tasks), key=lambda task: facts.tasks[task])
    return Table(
        name="task_mix",
        title=title,
        finding="ItemSage fills a batch with as many pairs of each task, so that a sparse one is not forgotten: here "
        f"{rarest} is the one with the fewest pairs.",
        rows=[Row(name=equal, switches={"task_mix": "equal"}), Row(name=natural, switches={"task_mix": "natural"})],
        comparisons=[Comparison(first=equal, expected="better", second=natural, task=rarest)],
    )


def _tokens(facts: Facts) -> Table:
    vocabulary, hashing = "vocabulary", "every token hashed"
    return Table(
        name="tokens",
        title="How tokens get their ids",
        finding="ItemSage's variant without a vocabulary loses nothing.",
        rows=[
            Row(name=vocabulary, preparation={"vocabulary_mode": "vocabulary"}),
            Row(name=hashing, preparation={"vocabulary_mode": "hashing"}),
        ],
        comparisons=[Comparison(first=hashing, expected="equal", second=vocabulary)],
    )


def _hashes(facts: Facts) -> Table:
    one, two, three = "1 hash", "2 hashes", "3 hashes"
    return Table(
        name="hashes",
        title="Hashes of a token",
        finding="Hash embeddings (NIPS 2017): two hashes are above one; more gain nothing.",
        rows=[Row(name=name, switches={"num_hashes": number}) for number, name in enumerate((one, two, three), 1)],
        comparisons=[
            Comparison(first=two, expected="better", second=one),
            Comparison(first=two, expected="no worse", second=three),
        ],
    )


def _dimensions(facts: Facts) -> Table:
    dims, largest = (64, 128), 256
    nested = {"output_dim": largest, "nested_dims": dims}
    own = {dim: f"{dim} dimensions" for dim in (*dims, largest)}
    of_nested = {dim: f"the first {dim} of one nested model" for dim in dims} | {largest: f"all {largest} of it"}
    return Table(
        name="dimensions",
        title="Dimensions",
        finding="Matryoshka: the first dimensions of one model do as well as a model of so many dimensions.",
        rows=[
            *(Row(name=name, switches={"output_dim": dim, "nested_dims": ()}) for dim, name in own.items()),
            *(Row(name=name, switches=nested, dim=None if dim == largest else dim) for dim, name in of_nested.items()),
        ],
        comparisons=[
            Comparison(first=own[largest], expected="better", second=own[64]),
            *(Comparison(first=of_nested[dim], expected="no worse", second=own[dim]) for dim in own),
        ],
    )


def _start(facts: Facts) -> Table:
    linear, random = "linear", "random"
    return Table(
        name="start",
        title="Where training starts",
        finding="Not a paper's: a start as the linear map of words and looks is above random weights in a shop, which "
        "has fewer pairs than the papers by orders of magnitude.",
        rows=[
            Row(name=linear, switches={"start": "linear"}),
            Row(name=random, switches={"start": "random"}),
            Row(name="linear, untrained", switches={"start": "linear"}, is_trained=False),
        ],
        comparisons=[Comparison(first=linear, expected="better", second=random)],
    )


def _distillation(facts: Facts) -> Table:
    distilled, not_distilled = "distilled from BM25", "not distilled"
    return Table(
        name="distillation",
        title="Token tables that imitate BM25 before the log",
        finding="SPAR (arXiv 2110.06918): a dense encoder can learn to imitate a lexical ranker.",
        rows=[
            Row(name=distilled),
            Row(name=not_distilled, switches={"distill_epochs": 0.0}),
        ],
        comparisons=[Comparison(first=distilled, expected="better", second=not_distilled)],
        about="Both are trained on the log after that.",
    )


def _fields(facts: Facts) -> Table:
    own, equal = "a weight for each text field", "equal weights"
    return Table(
        name="fields",
        title="Weights of text fields",
        finding="Not a paper's: a text field needs a weight of its own, for all go through one Linear and attention is "
        "not told which is which.",
        rows=[Row(name=own, switches={"field_weights": True}), Row(name=equal, switches={"field_weights": False})],
        comparisons=[Comparison(first=own, expected="better", second=equal)],
    )


def _one_task(facts: Facts) -> str:
    return f"it takes two tasks with training and test pairs, and there is {', '.join(facts.tasks) or 'none'}"


#: Name -> the table of these facts, or its title and why it cannot be made of them.
TABLES: dict[str, Callable[[Facts], Table | tuple[str, str]]] = {
    "aggregators": _aggregators,
    "modalities": _modalities,
    "negatives": _negatives,
    "logq": _logq,
    "counts": _counts,
    "tasks": _tasks,
    "task_mix": _task_mix,
    "tokens": _tokens,
    "hashes": _hashes,
    "dimensions": _dimensions,
    "fields": _fields,
    "start": _start,
    "distillation": _distillation,
}
