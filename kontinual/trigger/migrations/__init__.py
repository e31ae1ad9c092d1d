"""How the ledger's tables came to be: Alembic's revisions, applied in their order."""
