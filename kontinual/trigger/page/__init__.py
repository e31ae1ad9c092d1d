"""The page: one loop to see and to steer, rendered on the server, readable without scripts."""

from kontinual.trigger.page.figures import Figures, FigureSource, PrometheusFigures
from kontinual.trigger.page.routes import add_page
from kontinual.trigger.page.session import Sessions, session_key
from kontinual.trigger.page.story import Notes, no_notes

__all__ = [
    "FigureSource",
    "Figures",
    "Notes",
    "PrometheusFigures",
    "Sessions",
    "add_page",
    "no_notes",
    "session_key",
]
