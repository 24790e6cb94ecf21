"""Products of query pictures against a count by hand."""

from hypothesis import given
from hypothesis import strategies as st

from model.sources.clicked_pictures import clicked_products

clicks = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("abc")), max_size=20)


@given(clicks)
def test_the_product_is_the_most_clicked_item_whatever_the_order(given_clicks):
    found = clicked_products(given_clicks)
    assert list(found) == sorted({picture for picture, _ in given_clicks})
    for picture, item in found.items():
        own = [other for one, other in given_clicks if one == picture]
        assert own.count(item) == max(map(own.count, own))
        assert item == min(other for other in own if own.count(other) == own.count(item))
    assert clicked_products(reversed(given_clicks)) == found
