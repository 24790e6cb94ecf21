"""What `itemsage train` says of a training: how long it will be, how good its start is, which step was best, what the
parts of its model are worth, how far its weights moved, and why a model that is no better than its start is not
installed."""

import math

from model.training.config import TrainingResult, TrainingStart, Validation
from model.training.distillation import Distilled
from model.training.validation import RECALL_AT
from pipelines.console.terminal import few_digits

_SCORE = f"mean of Recall@{RECALL_AT} and 1 / rank"
_PARTS = {
    "block": "without the transformer block",
    "attention": "with equal attention",
    "text": "without the items' text",
    "text_vector": "without the items' text vectors",
    "pictures": "without the items' pictures",
}
_NOT_COMPARED = (
    "WARNING: there are no validation pairs, so nobody knows whether training makes the model better than its start: "
    "the weights of the last step are taken; --validation-fraction above 0 holds pairs out to compare with"
)


def trained_on_text_alone(engagements: str | None) -> str:
    """What is said where no engagement trains. engagements: as the call named them."""
    reason = "no --engagements" if engagements is None else f"no search or closeup action in {engagements}"
    return (
        f"{reason}: queries made from the catalogue's own text (--pseudo-queries) alone train the model; it learns "
        "nothing of what people want, and answers no picture queries"
    )


def distilled_line(distilled: Distilled) -> str:
    """How near the vectors came to BM25 before the log."""
    return (
        f"{_counted(distilled.steps, 'step')} from BM25 of the items' words; divergence {distilled.first_loss:.3f} -> "
        f"{distilled.last_loss:.3f} nats"
    )


def start_lines(start: TrainingStart, epochs: float, min_steps: int) -> list[str]:
    """The length of the run, where it stretches `epochs` and where it continues, how its step is chosen, and the
    validation of its start."""
    wanted = math.ceil(epochs * start.steps_per_epoch)
    made = _epochs(start.planned_steps / start.steps_per_epoch)
    if start.planned_steps > wanted:
        lines = [f"{_counted(wanted, 'step')} would be {_epochs(epochs)}; --min-steps {min_steps:,} makes it {made}"]
    else:
        lines = [f"{_counted(start.planned_steps, 'step')}, {made}"]
    if start.step:
        lines.append(f"continued: {start.step:,} of {_counted(start.planned_steps, 'step')} were taken before")
    if start.validation is None:
        return [*lines, _NOT_COMPARED]
    return [*lines, start.choice.line, *_validation("start", start.validation)]


def end_lines(result: TrainingResult) -> list[str]:
    """Whether training stopped early, which step was best, its validation, what it is above the start and whether that
    is more than chance, the score without each part of the item encoder, and how far the weights are from their
    start."""
    if not result.validations:
        return [moved_line(result)]
    lines = []
    if result.steps < result.planned_steps:
        num_worse = sum(validation.step > result.best_step for validation in result.validations)
        lines.append(
            f"stopped early after {result.steps:,} of {_counted(result.planned_steps, 'step')}: {num_worse} "
            f"validations in a row were no better than that of step {result.best_step:,}"
        )
    name = f"best step {result.best_step:,} of {result.steps:,}"
    if result.best_step == 0:
        return [*lines, f"{name}: the start, no step was better"]
    best = result.restored
    assert best is not None, "steps were compared, and none restored"
    if result.share < 1:
        highest = max(validation.score for validation in result.validations)
        name = f"{result.share:.0%} of the way from the start to the {name}"
        lines.append(
            f"{name}: a score of {best.score:.4f}, which validation cannot tell from {highest:.4f} of the whole way; "
            "what the start knew of new queries is kept so"
        )
    without = ", ".join(
        f"{_PARTS[part]} {found.score:.4f} ({found.score - best.score:+.4f})" for part, found in result.without.items()
    )
    lines += [*_validation(name, best), *_above_start(result), f"score {without}"]
    return [*lines, moved_line(result), *_field_weights(result)]


def refit_lines(start: TrainingStart, chosen: TrainingResult, num_validation_pairs: int) -> list[str]:
    """What a refit is, and where it continues. chosen: the training that was validated."""
    passes = _epochs(start.planned_steps / start.steps_per_epoch)
    pairs = _counted(num_validation_pairs, "validation pair")
    lines = [
        f"refit: {_counted(start.planned_steps, 'step')} from the same start with the {pairs}, too, {passes} as step "
        f"{chosen.best_step:,} had; the validation above is of the model before the refit, which nothing is left to "
        "validate"
    ]
    if start.step:
        lines.append(f"refit: continued: {start.step:,} of {_counted(start.planned_steps, 'step')} were taken before")
    return lines


def moved_line(result: TrainingResult) -> str:
    """How far the weights are from their start, see model.training.movement."""
    moved = []
    for name, found in result.movement.items():
        of_deviation = "" if found.relative is None else f", {few_digits(found.relative)} of its start's deviation"
        of_rows = "" if found.moved_rows is None else f", {few_digits(100 * found.moved_rows)}% of its rows"
        moved.append(f"{name.replace('_', ' ')} {few_digits(found.rms)} (rms{of_deviation}{of_rows})")
    return f"moved from the start: {'; '.join(moved)}"


def _field_weights(result: TrainingResult) -> list[str]:
    """What training made of the weights of the fields that items have, the heaviest first; nothing if it moved none."""
    moved = sorted(((weight, name) for name, weight in result.field_weights.items() if weight != 1), reverse=True)
    return [f"text fields weigh {', '.join(f'{name} {few_digits(weight)}' for weight, name in moved)}"] if moved else []


def why_untrained(result: TrainingResult) -> str:
    """What validation found of a training whose best step is its start."""
    start, *later = result.validations
    best = max(later, key=lambda validation: validation.score)
    return (
        f"a score of {start.score:.4f} at the start and of {best.score:.4f} at best after it (step {best.step:,} of "
        f"{result.steps:,}); the score is the {_SCORE}{_ranked(start)}"
    )


def _above_start(result: TrainingResult) -> list[str]:
    """Nothing of the start itself."""
    if (above := result.above_start) is None:
        return []
    more, low, high = (f"{above[name]:+.4f}" for name in ("score", "score_low", "score_high"))
    line = f"above the start: {more} [{low}, {high}] (95 % interval of the score, paired, over queries)"
    if not result.is_within_noise:
        return [line]
    return [
        f"WARNING: {line}: no more than chance makes of so few queries, so training may have made the model no better "
        "than its start; hold out more pairs (a longer log, --validation-fraction) to know"
    ]


def _validation(name: str, validation: Validation) -> list[str]:
    """A line a task, one of seen and new items, and the score over them."""
    lines = [
        f"{name}: {task}: Recall@{RECALL_AT} among {figures['num_items']:,} items {figures['recall']:.3f}, mean "
        f"reciprocal rank {figures['reciprocal_rank']:.3f}, {_counted(figures['num_pairs'], 'pair')}"
        for task, figures in validation.tasks.items()
    ]
    if cells := [
        f"{cell}s {figures['recall']:.3f} ({_counted(figures['num_pairs'], 'pair')})"
        for cell, figures in validation.cells.items()
    ]:
        lines.append(f"{name}: Recall@{RECALL_AT} of {', '.join(cells)}")
    return [*lines, f"{name}: score {validation.score:.4f} ({_SCORE}{_ranked(validation)})"]


def _ranked(validation: Validation) -> str:
    """Over how many pairs and among how many items."""
    num_items = max(figures["num_items"] for figures in validation.tasks.values())
    return f" over {_counted(validation.num_pairs, 'pair')}, each query alike, each ranked among {num_items:,} items"


def _counted(count: float, noun: str) -> str:
    """
    >>> _counted(1, "pair"), _counted(2000, "pair")
    ('1 pair', '2,000 pairs')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _epochs(count: float) -> str:
    """
    >>> _epochs(1.0), _epochs(100 / 12), _epochs(0.04)
    ('1 epoch', '8.3 epochs', '0.04 epochs')
    """
    shown = few_digits(count)
    return f"{shown} epoch" + ("" if shown == "1" else "s")
