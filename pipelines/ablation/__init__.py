"""The parts of `itemsage ablate`: the tables, the trainings behind their rows, what they show, the page."""
