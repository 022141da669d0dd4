"""Words in what people read: numbers of things."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun: `1 picture`, `2 pictures`. plural : where it is more than an s, such as `boxes`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
