from tests.registry.commands import (  # noqa: F401
    _clean_environment,
    distribution,
    guarded,
    plugin,
    pytest_collection_modifyitems,
    sidecargo,
)
