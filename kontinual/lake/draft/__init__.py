"""A first declaration, drafted from labelled rows: what they say, and reasoned defaults."""

from kontinual.lake.draft.draft import Draft, draft_loop

__all__ = ["Draft", "draft_loop"]
