"""Lists of items in place of queries, alone and walking forward."""

import numpy as np
import pytest

from model.nearest.distinct_search import DistinctVectors
from model.users.actions import Actions
from model.users.baselines import METHODS, Queries
from model.users.evaluation import Protocol, recommend_all, walk_forward
from model.users.lists import LISTS, OWN, OWN_THEN_POPULAR, POPULAR, Listing
from model.users.pinnersage import US_PER_DAY
from model.users.ranking import ranking

NUM_ITEMS = 8
OWN_ROWS, COUNTS = np.array([1, 6]), np.array([1, 3])
SHARES = np.array([0.5, 0, 0.25, 0, 0, 0.75, 0.25, 0])
NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("listing", "best"),
    [
        (Listing(OWN_ROWS, COUNTS, None), [6, 1]),
        (Listing(NOTHING, NOTHING, SHARES), [5, 0, 2, 6]),
        (Listing(OWN_ROWS, COUNTS, SHARES), [6, 1, 5, 0, 2]),
    ],
)
def test_a_list_has_its_items_by_score_and_no_others(listing, best):
    assert listing.best(9).tolist() == best
    assert listing.best(2).tolist() == best[:2]
    scores = listing.scores(np.arange(NUM_ITEMS))
    assert np.flatnonzero(scores).tolist() == sorted(best)
    assert (np.diff(scores[best]) <= 0).all()


def test_lists_stand_beside_queries():
    matrix = np.eye(NUM_ITEMS, dtype=np.float32)
    asked = [Queries(None, matrix[[2]], 1), Listing(OWN_ROWS, COUNTS, SHARES), Queries(np.array([3]), matrix[[3]], 1)]
    first, listed, last = recommend_all([asked], DistinctVectors(matrix), 3)[0]
    assert (first[0], listed.tolist(), last[0]) == (2, [6, 1, 5], 3)
    found = ranking(matrix, np.array([6]), np.array([2, 5]), asked)
    assert found[1].tolist() == [1, 1]
    assert found[0].tolist() == [0, pytest.approx(1 / 3)]


def test_walking_forward_the_lists_know_the_window_before_the_day_alone():
    """bob bought 0 twice and 3 once, everybody else 5 on an earlier day; on day 10 he buys 0, 5 and 7."""
    rows = [(0, 8, 0), (0, 9, 0), (0, 9, 3), (1, 9, 5), (2, 9, 5), (1, 10, 7), (0, 10, 0), (0, 10, 5), (0, 10, 7)]
    users, days, items = np.array(rows).T
    actions = Actions(["bob", "cid", "dee"], users, items, days * US_PER_DAY)
    methods = {name: LISTS[name] for name in (POPULAR, OWN, OWN_THEN_POPULAR)}
    matrix = np.eye(NUM_ITEMS, dtype=np.float32)
    found = walk_forward(actions, DistinctVectors(matrix), [10], methods, Protocol(alpha=1.0, window_days=5, top=2))
    bob = found.users_U.tolist().index(0)
    # popular: 5 (two users), then 0 of 0 and 3; own: 0, 3; own then popular: 0, then 3 before the 5 of others
    assert found.values_UTM[bob, :, 1].tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert not LISTS.keys() & METHODS.keys()
