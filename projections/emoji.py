"""Canonical emoji (rule E, rulings 41, 42, 44)."""


def canonical_emoji(text: str) -> str:
    """The form under which a reaction is stored."""
    raise NotImplementedError
