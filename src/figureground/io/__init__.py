"""Reads pictures safely and writes files atomically. docs/architecture.md says what each file does."""
