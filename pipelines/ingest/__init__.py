"""Stage: catalogue -> items, validated and bucketed."""
