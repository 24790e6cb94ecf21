"""Ward clustering as PinnerSage writes it: a nearest-neighbour chain on a stack, Lance-Williams updates on squared
distances, cut at alpha. Exact twin of `pinnersage.cut_ward(pinnersage.merge_tree(...), alpha)`: plain loops, no scipy.

Clusters are named by their numbers: M rows are 0..M-1, the n-th merge makes M + n.
"""

import numpy as np

#: (members of both clusters, cost of the merge)
Merge = tuple[frozenset[int], float]


def ward_merges(vectors_MD: np.ndarray) -> list[Merge]:
    """The M - 1 merges of the rows by falling cost, in which a merge comes before those inside it."""
    members = {row: frozenset([row]) for row in range(len(vectors_MD))}
    d = {row: {} for row in members}
    for i in members:
        for j in range(i):
            d[i][j] = d[j][i] = float(np.sum((vectors_MD[i].astype(np.float64) - vectors_MD[j]) ** 2))
    merges: list[Merge] = []
    stack: list[int] = []
    while len(d) > 1:
        if not stack:
            stack.append(next(iter(d)))
        last = stack[-1]
        least = min(d[last].values())
        if len(stack) > 1 and d[last][stack[-2]] == least:
            j, i = stack.pop(), stack.pop()
            merged = len(vectors_MD) + len(merges)
            merges.append((members[i] | members[j], least))
            members[merged] = members[i] | members[j]
            d[merged] = {k: _updated(d, members, i, j, k) for k in d if k not in (i, j)}
            for k, cost in d[merged].items():
                d[k][merged] = cost
            for gone in (i, j):
                for k in d.pop(gone):
                    d[k].pop(gone, None)
        else:
            stack.append(next(k for k, cost in d[last].items() if cost == least))
    return sorted(merges, key=lambda merge: (-merge[1], -len(merge[0])))


def _updated(d: dict[int, dict[int, float]], members: dict[int, frozenset[int]], i: int, j: int, k: int) -> float:
    """d(ij, k) = [(n_i + n_k) d_ik + (n_j + n_k) d_jk - n_k d_ij] / (n_i + n_j + n_k)."""
    n_i, n_j, n_k = (len(members[cluster]) for cluster in (i, j, k))
    return ((n_i + n_k) * d[i][k] + (n_j + n_k) * d[j][k] - n_k * d[i][j]) / (n_i + n_j + n_k)


def ward_stack(vectors_MD: np.ndarray, alpha: float) -> np.ndarray:
    """int32 [M]: the paper's clusters, numbered by their first rows: the largest merges of cost <= alpha."""
    return labels_of(ward_merges(vectors_MD), len(vectors_MD), alpha)


def labels_of(merges: list[Merge], num_rows: int, alpha: float) -> np.ndarray:
    """The cut of `ward_stack` through merges that are there already."""
    cluster_of = {}
    for members, cost in merges:
        if cost <= alpha and not any(row in cluster_of for row in members):
            cluster_of |= dict.fromkeys(members, members)
    numbers: dict[frozenset[int], int] = {}
    rows = [cluster_of.get(row, frozenset([row])) for row in range(num_rows)]
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in rows], np.int32)
