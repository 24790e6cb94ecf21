"""The sample shop: a seeded generator of a believable shop whose truth and whose faults are known."""

from schemas.sample_shop.generate import LAST_DAY, finished_shop, generate

__all__ = ["LAST_DAY", "finished_shop", "generate"]
