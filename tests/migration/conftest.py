"""Tests that are coroutines, and databases they can connect to at a time of their choice."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from tests import conftest
from tests.migration.support import Database


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def empty(database: conftest.Database) -> Database:
    """A database without anything in it."""
    return Database(database.cluster, database.name)


@pytest.fixture
def migrated(migrated_database: conftest.Database) -> Database:
    """A database at the newest revision, without rows."""
    return Database(migrated_database.cluster, migrated_database.name)
