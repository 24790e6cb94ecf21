"""Weights, shares and cosines of sources against loops over items and sources, and against what is fused."""

import numpy as np
import pytest

from model.sources.contributions import contributions
from model.sources.fusion import FusionConfig, fuse, settle_fusion

DIMS = {"attributes": 5, "clicks": 7, "pictures": 12}
CLICKS = np.array([0, 1, 4, 40, 9, 3, 0, 7])


def sources() -> dict[str, np.ndarray]:
    """Of any norm; of item 0 nobody knows anything, of item 1 the clicks alone."""
    generator = np.random.default_rng(0)
    found = {name: generator.normal(size=(len(CLICKS), dim)).astype(np.float32) for name, dim in DIMS.items()}
    for rows in found.values():
        rows[0] = 0
    found["attributes"][1] = found["pictures"][1] = found["pictures"][2] = 0
    return found


@pytest.mark.parametrize(("how", "dim"), [("sum", 6), ("sum", None), ("concatenation", None)])
def test_contributions_are_those_of_loops(how, dim):
    weights = {"attributes": 1.0, "clicks": 2.0, "pictures": 0.5, "unused": 0.0}
    config = FusionConfig(weights=weights, half_evidence={"clicks": 3.0}, how=how, dim=dim, projection="principal")
    fusion = settle_fusion(config, sources())
    found = contributions(fusion, sources(), {"clicks": CLICKS})
    fused = fuse(fusion, sources(), {"clicks": CLICKS})
    assert found.names == ("attributes", "clicks", "pictures")
    for item in range(len(CLICKS)):
        parts, total = {}, np.zeros(fusion.dim)
        for name in found.names:
            row = sources()[name][item].astype(np.float64)
            if not row.any():
                continue
            row = row / np.linalg.norm(row)
            if how == "concatenation":
                place = [row if other == name else np.zeros(DIMS[other]) for other in found.names]
                row = np.concatenate(place)
            elif name in fusion.projections:
                row = row @ fusion.projections[name]
            weight = weights[name] * (CLICKS[item] / (CLICKS[item] + 3.0) if name == "clicks" else 1.0)
            parts[name] = (weight, row)
            total += weight * row
        for place, name in enumerate(found.names):
            assert found.present_NS[item, place] == (name in parts)
            if name not in parts:
                assert found.weights_NS[item, place] == 0
                assert np.isnan([found.shares_NS[item, place], found.cosines_NS[item, place]]).all()
                continue
            weight, row = parts[name]
            assert found.weights_NS[item, place] == pytest.approx(weight)
            assert found.shares_NS[item, place] == pytest.approx(weight * row @ total / (total @ total), abs=1e-6)
            cosine = row @ fused[item] / np.linalg.norm(row)
            assert found.cosines_NS[item, place] == pytest.approx(cosine, abs=1e-5)
        if parts:
            assert np.nansum(found.shares_NS[item]) == pytest.approx(1)
    assert found.shares_NS[1].tolist()[1] == pytest.approx(1), "a source that is alone is all of the vector"


def test_an_item_whose_one_source_has_no_evidence_has_no_share():
    config = FusionConfig(weights={"clicks": 1.0}, half_evidence={"clicks": 3.0})
    known = {"clicks": np.ones((1, 4), np.float32)}
    found = contributions(settle_fusion(config, known), known, {"clicks": np.array([0])})
    assert found.present_NS.all()
    assert found.weights_NS.tolist() == [[0.0]]
    assert np.isnan(found.shares_NS).all()
