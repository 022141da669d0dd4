"""Read pictures safely and write files atomically. docs/architecture.md says what each file does."""
