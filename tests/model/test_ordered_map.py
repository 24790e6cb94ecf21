"""Work on a stream in threads: order, bounds and errors are kept, each thread computes alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from at_once import at_once

from model.machine.ordered_map import ordered_map, single_threaded_pool


def test_the_pool_is_single_threaded_and_others_are_not():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        pool = single_threaded_pool(2)
        assert {pool.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
        assert torch.get_num_threads() == 3
        assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.medium
def test_pools_that_are_made_at_once_leave_other_threads_their_number():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for _ in range(50):
            for pool in at_once(lambda: single_threaded_pool(2)):
                assert {pool.submit(torch.get_num_threads).result() for _ in range(4)} == {1}
                pool.shutdown()
            assert ThreadPoolExecutor(1).submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_ordered_map_keeps_order_bounds_and_errors():
    with ThreadPoolExecutor(3) as pool:
        assert list(ordered_map(pool, lambda x: x * 2, range(50), max_waiting=4)) == list(range(0, 100, 2))
        pulled = []
        stream = ordered_map(pool, str, (pulled.append(n) or n for n in range(99)), max_waiting=4)
        next(stream)
        assert len(pulled) == 5
        stream = ordered_map(pool, str, range(9), max_waiting=9, cost=lambda x: 10, max_cost=25)
        assert list(stream) == list(map(str, range(9)))
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(pool, lambda x: 1 // x, [1, 0, 2], max_waiting=2))
