"""Raw rows become rows of ours, and what cannot becomes rejections with a reason: cells by their columns, rows by the
rules, rows of one item together."""
