"""The command line offers exactly the roles that the server knows."""

from __future__ import annotations

from enum import StrEnum

import pytest

from harness.cli_doors import LoginRole
from harness.cli_users import RoleChoice
from server.wire import access, states


@pytest.mark.parametrize(
    ("offered", "known"), [(RoleChoice, states.Role), (LoginRole, access.Role)], ids=["users", "logins"]
)
def test_each_role_is_offered_and_no_other(offered: type[StrEnum], known: type[StrEnum]) -> None:
    assert [choice.value for choice in offered] == [role.value for role in known]
