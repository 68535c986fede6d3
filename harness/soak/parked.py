"""Objects of the simulator as bytes and back: cameras, cards, generators, the broker.

What is written is a pickle, so that no state is ever forgotten, also of a fault that is added tomorrow. What is read
may name classes of the simulator, of the wire and of the soak only: a checkpoint can not run code of its own.
"""

from __future__ import annotations

import io
import pickle
from enum import Enum
from types import MethodType
from typing import Any, Final

from harness.errors import WakestormError

PROTOCOL: Final = 5

_PACKAGES: Final = ("simulator.", "server.wire.", "harness.soak.", "harness.dut.")
_MODULES: Final = frozenset({"harness.ledger", "harness.plan_steps"})
_PLAIN: Final = frozenset(
    {
        ("builtins", "bytearray"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("collections", "deque"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
    }
)


class CheckpointDamaged(WakestormError):
    """What stands in a checkpoint is not what was written there."""


def bound(owner: Any, name: str) -> Any:
    """The method of an object that was written; only objects of the allowed classes come here."""
    method = getattr(owner, name)
    if not isinstance(method, MethodType) or method.__self__ is not owner:
        raise CheckpointDamaged(f"{type(owner).__name__}.{name} is not a method")
    return method


class _Writer(pickle.Pickler):
    """Methods are written as (owner, name), members of enumerations by their value.

    pickle itself (for enumerations that of early 3.11) would need `getattr`, which a reader must not allow.
    """

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, MethodType):
            return bound, (item.__self__, item.__func__.__name__)
        if isinstance(item, Enum):
            return type(item), (item.value,)
        return NotImplemented


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, bound.__name__):
            return bound
        is_ours = module.startswith(_PACKAGES) or module in _MODULES
        if "." not in name and (is_ours or (module, name) in _PLAIN):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise CheckpointDamaged(f"a checkpoint may not name {module}.{name}")


def packed(value: Any) -> bytes:
    """`value` and everything it holds; what is shared stays shared. Raises TypeError for what is no data."""
    stream = io.BytesIO()
    try:
        _Writer(stream, PROTOCOL).dump(value)
    except pickle.PicklingError as error:
        raise TypeError(str(error)) from error
    return stream.getvalue()


def unpacked(data: bytes) -> Any:
    """The inverse of `packed`. Raises CheckpointDamaged."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except CheckpointDamaged:
        raise
    except Exception as error:  # a pickle that was cut or changed can raise anything
        raise CheckpointDamaged(f"the checkpoint can not be read: {type(error).__name__}: {error}") from error
