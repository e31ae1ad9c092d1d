"""What people read in a terminal, exactly as it was written."""

from typing import Any

from rich.console import Console
from rich.text import Text

__all__ = ["coloured", "plain_console"]


def plain_console(**options: Any) -> Console:
    """A console that takes brackets and colons for what they are.

    Rich's own reads `[/var/log]` as the end of a style and fails; but reasons and names
    are anybody's words. Styles are given by `coloured`.

    Args:
        options: of `rich.console.Console`.
    """
    return Console(markup=False, emoji=False, **options)


def coloured(text: str, style: str) -> Text:
    """A text in a style, such as `green`."""
    return Text(text, style=style)
