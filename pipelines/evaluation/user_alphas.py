"""Which alphas the evaluation of users compares: that of the paper's tables, and those that a calibration chose."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.user_baselines import NUM_SAMPLED
from pipelines.user_alpha import DEFAULT, DEFAULT_ALPHA, GIVEN, alpha_of, best_alphas
from pipelines.user_plan import UsersConfig


class Chosen(NamedTuple):
    """What a calibration chose. samples: e, the medoids sampled."""

    samples: int
    alpha: float


@dataclass(frozen=True, kw_only=True)
class Alphas:
    """paper: of the paper's tables, whose e is 3. where: its origin, as the page says it. chosen: None without a
    calibration. by_samples: the best alpha of each number of samples that the calibration tried."""

    paper: float
    where: str
    chosen: Chosen | None = None
    by_samples: dict[int, float] = field(default_factory=dict)

    @property
    def centre(self) -> float:
        """The alpha that others are shown around."""
        return self.paper if self.chosen is None else self.chosen.alpha


def alphas_of(config: UsersConfig, model_id: str) -> Alphas:
    """The alpha given, else the calibration's best for e = 3 (its choice, if it did not try 3), else the default, the
    only one without a run and a calibration. Raises what `alpha_of` and `best_alphas` raise."""
    if not config.run and config.alpha is None and config.calibration is None:
        return Alphas(paper=DEFAULT_ALPHA, where=DEFAULT)
    found = alpha_of(config, model_id)
    if found.where in (GIVEN, DEFAULT):
        return Alphas(paper=found.alpha, where=found.where)
    by_samples = best_alphas(found.where)
    best_for = NUM_SAMPLED if NUM_SAMPLED in by_samples else found.samples
    return Alphas(
        paper=by_samples[best_for],
        where=f"calibration {Path(found.where).name}, best for e = {best_for}",
        chosen=Chosen(found.samples, found.alpha),
        by_samples=by_samples,
    )
