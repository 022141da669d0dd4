"""Measure methods on labeled pictures, and show the results on a page."""
