"""What Alembic runs to migrate; the connection comes from `kontinual.trigger.database`."""

from alembic import context

from kontinual.trigger.tables import METADATA

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=METADATA,
    version_table=given["version_table"],
)
with context.begin_transaction():
    context.run_migrations()
