"""Weights that somebody uploaded, opened where they can do no harm: what is in them, or why they are refused."""
