"""Weights on the way from the start of a training to its best step.

What the start knows of queries that nobody has asked yet, training forgets while it learns the log by heart. On the
straight line between the two,

    w = start + share (best - start)        Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022

a model keeps more of both than either end does, as long as the weights have not moved far. Of the shares the smallest
is taken whose score is within one standard error of the best step's (Breiman et al., Classification and Regression
Trees, 1984, section 3.4.3): where validation cannot tell the models apart, the one nearer to the start; where the log
says much, the best step itself.
"""

import math

from model.training.validation import QueryScores

#: Shares of the way that are measured, the nearest to the start first; 1, the best step, is measured anyway.
SHARES = (0.5, 0.7, 0.85)


def is_within_error(scores: QueryScores, best: QueryScores) -> bool:
    """Whether the mean is at most one standard error of the paired difference below that of `best`, over the same
    queries.

    >>> import numpy as np
    >>> weights_Q = np.full(4, 0.25)
    >>> best = QueryScores(weights_Q * 0.5, weights_Q)
    >>> is_within_error(QueryScores(weights_Q * [0.4, 0.6, 0.45, 0.5], weights_Q), best)
    True
    >>> is_within_error(QueryScores(weights_Q * 0.4, weights_Q), best)
    False
    """
    below_Q = best.sums_Q - scores.sums_Q
    error = math.sqrt(len(below_Q)) * float(below_Q.std(ddof=1)) if len(below_Q) > 1 else 0.0
    return float(below_Q.sum()) <= error
