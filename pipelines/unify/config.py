"""The flags of `itemsage unify`."""

import math
from dataclasses import dataclass
from typing import Any

from model.sources.fusion import FusionConfig
from model.sources.unified_manifest import ITEMSAGE
from pipelines.console.jobs import flag, names_once
from pipelines.log.dated_log import DatedLog
from pipelines.stages import SOURCES
from pipelines.store.store import check_date
from schemas.errors import UsageError
from schemas.quarantine import quote

NAMES = (ITEMSAGE, *SOURCES)


@dataclass(frozen=True, kw_only=True)
class UnifyConfig(DatedLog):
    """Settles how the vectors of several sources become one vector an item, and puts that into the store."""

    store: str = flag(path=True, help="store folder with a trained model")
    sources: str = flag(help=f"which of {', '.join(NAMES)}, separated by commas", by_commas=True)
    weights: str = flag(
        default="",
        help="weight of each, as itemsage=1,prod2vec=.5; 1 where none is given; 0 leaves out",
        by_commas=True,
    )
    learn_weights: bool = flag(
        default=False, help="find the weights on --engagements between the end of the sources' log and --date"
    )
    engagements: str | None = flag(
        path=True, default=None, help="with --learn-weights: a log that goes on after that of the sources"
    )
    date: str | None = flag(default=None, help="with --learn-weights: the last day, YYYY-MM-DD, of --time-zone")
    half_evidence: str = flag(
        default="",
        help="evidence (sessions, users, attributes, pictures) of an item at which a source has half of its weight, as "
        "prod2vec=5; whole wherever it has a vector if none is given",
        by_commas=True,
    )
    how: str = flag(default="sum", choices=("sum", "concatenation"), help="how weighted vectors become one")
    dim: int | None = flag(
        default=None, help="numbers of a unified vector (of a sum); default: those of the item model"
    )
    seed: int = flag(default=0, help="of the projections of sources that have another number")
    model: str | None = flag(default=None, help="model id; default: the model trained last")
    run: str | None = flag(
        path=True, default=None, help="run folder with the sources; default: the model's training run"
    )
    columns: dict[str, Any] = flag(default={}, help="[columns.engagements]: our column name -> the shop's")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_learning()
        if self.date is not None:
            check_date(self.date)
        if self.dim is not None and self.dim < 1:
            raise UsageError(f"expected --dim >= 1, got {self.dim}")
        if self.dim is not None and self.how != "sum":
            raise UsageError(
                f"expected --dim with --how sum alone, got --dim {self.dim} with --how {self.how}, which has the "
                "numbers of all sources: leave one of them out"
            )

    def _check_learning(self) -> None:
        """Raises UsageError, naming the flag, for one of learnt weights that is missing, or one that is too many."""
        log = {"--engagements": self.engagements, "--date": self.date}
        given = [name for name, value in log.items() if value is not None]
        if not self.learn_weights and given:
            raise UsageError(
                f"expected --learn-weights with {' and '.join(given)}, got none: add it, or leave them out"
            )
        if self.learn_weights and (missing := [name for name in log if name not in given]):
            got = f"no {missing[0]}" if given else "none of them"
            raise UsageError(f"expected --engagements and --date with --learn-weights, got {got}")
        if self.learn_weights and self.weights.strip():
            raise UsageError(
                f"expected no --weights with --learn-weights, which finds them, got {quote(self.weights)}: leave "
                "one out"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, in the order of the flow, each once."""
        given = names_once(self.sources, "--sources")
        if not given or (others := sorted(set(given) - set(NAMES))):
            got = ", ".join(map(quote, others)) if given else "none"
            raise UsageError(f"expected --sources of {', '.join(NAMES)}, got {got}")
        return tuple(name for name in NAMES if name in given)

    def fusion(self) -> FusionConfig:
        """What the flags ask of a fusion. Raises UsageError for sources, weights and numbers that are none."""
        weights = {**dict.fromkeys(self.names, 1.0), **self._numbers("weights")}
        half_evidence = self._numbers("half_evidence")
        if half_evidence.get(ITEMSAGE):
            raise UsageError(f"expected --half-evidence of sources that count evidence, got some of {ITEMSAGE}")
        kept = {name: half for name, half in half_evidence.items() if weights[name]}
        return FusionConfig(
            weights=weights,
            half_evidence=kept,
            how="sum" if self.how == "sum" else "concatenation",
            projection="principal",
            dim=self.dim,
            seed=self.seed,
        )

    def _numbers(self, name: str) -> dict[str, float]:
        """source -> number, as a flag gives them."""
        found: dict[str, float] = {}
        called, text = f"--{name.replace('_', '-')}", getattr(self, name)
        for part in filter(None, (part.strip() for part in text.split(","))):
            source, equals, number = (piece.strip() for piece in part.partition("="))
            if source not in self.names or not equals or source in found:
                example = ",".join(f"{known}=1" for known in self.names)
                raise UsageError(
                    f"expected {called} of the sources that --sources names, as {example}, got {quote(part)}"
                )
            found[source] = _number(number, called)
        return found


def _number(text: str, called: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise UsageError(f"expected {called} of finite numbers >= 0, got {quote(text)}")
    return number
