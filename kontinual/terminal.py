"""What people read in a terminal, exactly as it was written, and no command to the terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

__all__ = ["coloured", "plain_console", "visible"]

# C0 but tabulator and newline, DEL, C1, and what turns the direction of writing: an alert, a label
# or a category may hold them, and a terminal obeys (its title, its colours, what is on the screen).
_COMMANDS = [
    *range(9),
    *range(11, 32),
    *range(127, 160),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
]
_ESCAPES = {c: ascii(chr(c))[1:-1] for c in _COMMANDS}


def visible(text: str) -> str:
    """A text with its control characters as escapes; newlines and tabulators stay."""
    return text.translate(_ESCAPES)


class _PlainConsole(Console):
    """Rich's own commands to the terminal are segments of their own, and pass."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Before the layout, so that there is room for the escapes."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Whatever was not made by `render_str`."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(visible(text), style)


def plain_console(**options: Any) -> Console:
    """A console that takes brackets and colons for what they are, and shows control characters.

    Rich's own reads `[/var/log]` as the end of a style and fails; but reasons and names
    are anybody's words. Styles are given by `coloured`.

    Args:
        options: of `rich.console.Console`.
    """
    return _PlainConsole(markup=False, emoji=False, **options)


def coloured(text: str, style: str) -> Text:
    """A text in a style, such as `green`."""
    return Text(visible(text), style=style)
