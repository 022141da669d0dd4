"""Reads pictures safely and writes files atomically. See docs/how-it-works.md for what each file does."""
