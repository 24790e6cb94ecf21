"""The walk forward on several item vectors side by side: same items, users and days, so that differences are paired.

items that all vectors have --log--> the same user-days --every method on each of the vectors--> recall, ranking

Relevance is left out: a cosine of .8 is another nearness in each of the vectors.

Legend: U user-days, V vectors, T methods, M metrics, N items, D dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import METHODS, Method, own_items, pinnersage
from model.users.bucket_users import ItemVectors
from model.users.evaluation import METRICS, Protocol, UserDays, count_user_days, walk_forward
from model.users.intervals import summarize
from model.users.lists import LISTS, ListMethod
from pipelines.console.progress import Progress
from pipelines.evaluate_users.alphas import Alphas
from pipelines.evaluate_users.figures import OURS, figures_of, over_best
from pipelines.evaluate_users.report import COMPARED
from schemas.errors import UsageError
from schemas.hashing import seed_of

#: The choice of each calibration, and as many of the user's own items; only where all vectors have a calibration.
CALIBRATED, OWN_AS_MANY = "PinnerSage, calibrated", "own items, as many most important"
_Methods = Mapping[str, Method | ListMethod]


@dataclass(frozen=True, eq=False)
class CommonItems:
    """Items that all vectors have. ids: ascending, [N]; matrices: float32 [N, D] of each of the vectors;
    place_of_first: int64, the place here of each row of the first vectors, -1 of an item that others lack."""

    ids: pa.Array
    matrices: Sequence[np.ndarray]
    place_of_first: np.ndarray

    @classmethod
    def of(cls, given: Sequence[ItemVectors]) -> "CommonItems":
        """Raises UsageError if no item has all."""
        ids = reduce(lambda kept, one: kept.filter(pc.is_in(kept, value_set=one.ids)), given, given[0].ids)
        if not len(ids):
            raise UsageError("expected items that all vectors have, got none: give vectors of one catalogue to --also")
        matrices = [one.matrix_ND[pc.index_in(ids, value_set=one.ids).to_numpy()] for one in given]
        places = pc.fill_null(pc.index_in(given[0].ids, value_set=ids), -1).to_numpy().astype(np.int64)
        return cls(ids, matrices, places)

    def of_actions(self, actions: Actions) -> Actions:
        """Those on these items, of rows of the first vectors."""
        places_M = self.place_of_first[actions.rows_M]
        kept_M = places_M >= 0
        return Actions(actions.user_ids, actions.users_M[kept_M], places_M[kept_M], actions.times_us_M[kept_M])


@dataclass(frozen=True, eq=False, kw_only=True)
class Compared:
    """Vectors of the common items, and what was calibrated for them."""

    name: str
    vectors: DistinctVectors
    alphas: Alphas
    protocol: Protocol

    def methods(self, with_choice: bool) -> dict[str, Method | ListMethod]:
        """Of one name for all vectors, each at its own alphas."""
        found: dict[str, Method | ListMethod] = {**METHODS, **LISTS}
        chosen = self.alphas.chosen
        if with_choice and chosen is not None:
            found[CALIBRATED] = pinnersage(chosen.samples, alpha=chosen.alpha, sampled=chosen.sampled)
            found[OWN_AS_MANY] = own_items(chosen.samples, recent=False)
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """What is compared. compared: at least two; differences are to the first. days: since 1970, of its calendar."""

    actions: Actions
    impressions: Actions | None
    days: range
    compared: Sequence[Compared]

    def walked(self) -> dict[str, Any]:
        """The tables. Raises UsageError without a user-day."""
        total = count_user_days(self.actions, self.days, self.compared[0].protocol)
        if not total:
            raise UsageError(
                "expected users with actions on a day of the period and before it on items that all vectors have, got "
                "none: see --from, --to, --actions and --also"
            )
        with_choice = all(one.alphas.chosen for one in self.compared)
        found = [self._walk(one, one.methods(with_choice), total) for one in self.compared]
        names = list(self.compared[0].methods(with_choice))
        ours = CALIBRATED if with_choice else OURS
        return {
            "days": len(self.days),
            "users": len(np.unique(found[0].users_U)),
            "user_days": total,
            "items_a_user_day": float(found[0].num_items_U.mean()),
            "list_length": self.compared[0].protocol.top,
            "impressions": "drawn" if self.impressions is None else "of the log",
            "vectors": [
                _about(one, walk, names, over_best(walk, names, ours))
                for one, walk in zip(self.compared, found, strict=True)
            ],
            "methods": _side_by_side(found, names, [one.name for one in self.compared]),
        }

    def _walk(self, one: Compared, methods: _Methods, total: int) -> UserDays:
        progress = Progress(f"walk forward on {one.name}", "user-days", total)
        found = walk_forward(
            self.actions, one.vectors, self.days, methods, one.protocol, self.impressions, progress.advance
        )
        progress.close()
        return found


def _about(one: Compared, walk: UserDays, names: Sequence[str], over: Mapping[str, Any]) -> dict[str, Any]:
    clusters_T = np.median(walk.clusters_UT, axis=0)
    return {
        "name": one.name,
        "distinct_vectors": len(one.vectors.vectors_UD),
        "alpha": one.alphas.paper,
        "calibrated": one.alphas.chosen and one.alphas.chosen._asdict(),
        "clusters_median": dict(zip(names, clusters_T.tolist(), strict=True)),
        "over_best_baseline": over,
    }


def _side_by_side(found: Sequence[UserDays], names: Sequence[str], vectors: Sequence[str]) -> list[dict[str, Any]]:
    """[{"method": name, metric: {vectors: mean, its bounds, and the lift over the first vectors, paired}}]"""
    seed, tables = seed_of("intervals", "walk forward"), []
    for place, name in enumerate(names):
        values_UVM = np.stack([walk.values_UTM[:, place] for walk in found], axis=1)
        summary = summarize(found[0].users_U, values_UVM, 0, seed)
        tables.append(
            {"method": name}
            | {
                metric: {own: figures_of(summary, one, METRICS.index(metric)) for one, own in enumerate(vectors)}
                for metric in COMPARED
            }
        )
    return tables
