"""All tests that SQLAlchemy has for dialects of others, see `harness`."""

from sqlalchemy.testing.suite import *  # noqa: F403
