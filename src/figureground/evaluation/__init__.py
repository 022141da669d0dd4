"""Labeled pictures, how good a method is on them, and a page that shows it."""
