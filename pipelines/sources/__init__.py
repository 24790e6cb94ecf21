"""Sources of item vectors that learn from clickstream: sequences, graph, walks, and a stage a source."""
