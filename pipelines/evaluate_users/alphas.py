"""Which alphas the evaluation of users compares: that of the paper's tables, and those that a calibration chose."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.users.baselines import NUM_SAMPLED
from model.users.pinnersage import DEFAULT_ALPHA
from pipelines.users.alpha import DEFAULT, Calibrated, alpha_of, best_alphas, calibrated_on
from pipelines.users.config import UsersConfig
from schemas.errors import UsageError
from schemas.files import shown


class Chosen(NamedTuple):
    """What a calibration chose. samples: e, how many medoids; sampled: or else the most important ones."""

    samples: int
    alpha: float
    sampled: bool


@dataclass(frozen=True, kw_only=True)
class Alphas:
    """paper: of the paper's tables, whose e is 3. where: its origin, as the page says it. chosen: None without a
    calibration, as `calibrated`. by_samples: the best alpha of each number of sampled medoids that the
    calibration tried."""

    paper: float
    where: str
    chosen: Chosen | None = None
    calibrated: Calibrated | None = None
    by_samples: dict[int, float] = field(default_factory=dict)

    @property
    def centre(self) -> float:
        """The alpha that others are shown around."""
        return self.paper if self.chosen is None else self.chosen.alpha


def alphas_of(config: UsersConfig, model_id: str, from_date: str) -> Alphas:
    """The alpha given, else the calibration's best for e = 3, sampled (its choice, if it did not try that), else the
    default, the only one without a run and a calibration.

    Raises UsageError for a calibration that has seen `from_date` (the first day of the evaluation) or a later day,
    wherever it was found: figures would be of the days that alpha was chosen on. Raises what `alpha_of`, `best_alphas`
    and `calibrated_on` raise.
    """
    if not config.run and config.alpha is None and config.calibration is None:
        return Alphas(paper=DEFAULT_ALPHA, where=DEFAULT)
    found = alpha_of(config, model_id)
    if not found.is_calibrated:
        return Alphas(paper=found.alpha, where=found.where)
    calibrated = calibrated_on(found.where)
    if calibrated.date >= from_date:
        raise UsageError(
            f"expected a calibration of days before --from {from_date}, got one up to {calibrated.date} "
            f"({shown(found.where)}): `itemsage users --calibrate --calibration FILE` with an earlier --date and give "
            "it as --calibration, or give --alpha"
        )
    by_samples = best_alphas(found.where)
    best_for = NUM_SAMPLED if NUM_SAMPLED in by_samples else found.samples
    return Alphas(
        paper=by_samples.get(best_for, found.alpha),
        where=f"calibration {Path(found.where).name}, best for e = {best_for}",
        chosen=Chosen(found.samples, found.alpha, found.sampled),
        calibrated=calibrated,
        by_samples=by_samples,
    )
