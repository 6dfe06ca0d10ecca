"""A seed and a store as folders, as the tests of the engine have them."""

from tests.engine.conftest import config, in_store, models, store, sync  # noqa: F401 - fixtures
