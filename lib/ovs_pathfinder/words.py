"""What sentences have in common."""


def many(count: int, what: str) -> str:
    """Return a count with its noun, which takes an s: `1 flow`, `2 flows`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
