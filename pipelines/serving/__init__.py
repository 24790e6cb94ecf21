"""What answers requests from the published run: searches and recommendations, and the checked reading below them."""
