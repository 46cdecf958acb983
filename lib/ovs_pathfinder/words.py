"""What sentences have in common, and how a command is written for a person to paste."""

import shlex
from collections.abc import Iterable


def many(count: int, what: str) -> str:
    """Return a count with its noun, which takes an s: `1 flow`, `2 flows`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def pasted(*words: str) -> str:
    """Return a command to paste into bash or zsh.

    Each word stays one word whatever it holds, and nothing in it acts on the terminal that it is pasted into: a line
    feed or an escape would take effect before the shell sees a quote.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(_escaped(word))}'"


def _escaped(word: str) -> Iterable[str]:
    for character in word:
        if character in "\\'":
            yield f"\\{character}"
        elif character.isprintable():
            yield character
        else:
            yield from (f"\\x{byte:02x}" for byte in character.encode(errors="surrogatepass"))
