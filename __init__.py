"""Penstock: streaming SQL inside a Python process.

This package has `connect()`, the result types, the errors and the decorators for functions.  Each is imported when it is
first used, so that ``import penstock`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .aio.database import AsyncDatabase, AsyncSubscription, connect_async
    from .engine.database import Database, QueryHandle, connect
    from .engine.flow_picture import Flow, FlowBox
    from .engine.functions.user import udaf, udf, udtf
    from .engine.handles import StreamHandle, TableHandle
    from .engine.live_rows import LiveRows
    from .engine.long_work import Advance, listening
    from .engine.relation import Relation
    from .engine.results import (
        Description,
        Listing,
        Message,
        PrintedRecord,
        PrintResult,
        PushResult,
        PushRow,
        Result,
        Submitted,
        Table,
    )
    from .engine.script_tests import read_tests, run_test
    from .engine.session import Session
    from .errors import (
        AssertionFailedError,
        BufferExhaustedError,
        ClientError,
        CommitFailedError,
        DataError,
        InternalError,
        OffsetOutOfRangeError,
        OutOfOrderSequenceError,
        PenstockError,
        ProducerFencedError,
        StatementError,
        StorageError,
        UnsupportedError,
    )
    from .listener.kafka_listener import KafkaListener, broker
    from .runtime.clients.batch_writer import Delivery
    from .runtime.clients.consumer import Consumer
    from .runtime.clients.coordinator import GroupMetadata
    from .runtime.clients.groups import GroupDescription
    from .runtime.clients.producer import Producer, ProducerTransaction
    from .runtime.clients.records import ConsumedBatch, RawRecord
    from .runtime.clock import ManualClock
    from .runtime.host import Token
    from .runtime.subscriptions import PushBatch, Subscription
    from .server.config import ServerConfig
    from .server.serving import Server, serve
    from .storage.backup import Backup, backup_directory
    from .storage.log.local.maintenance.report import inspect_directory
    from .storage.repair import RepairPlan, plan_repair
    from .storage.verify import LogFault, verify_directory

_HOMES = {
    "load_ipython_extension": "notebook.magic",
    "unload_ipython_extension": "notebook.magic",
    "ManualClock": "runtime.clock",
    "AsyncDatabase": "aio.database",
    "AsyncSubscription": "aio.database",
    "StreamHandle": "engine.handles",
    "TableHandle": "engine.handles",
    "connect_async": "aio.database",
    "AssertionFailedError": "errors",
    "Backup": "storage.backup",
    "BufferExhaustedError": "errors",
    "ClientError": "errors",
    "CommitFailedError": "errors",
    "ConsumedBatch": "runtime.clients.records",
    "Consumer": "runtime.clients.consumer",
    "DataError": "errors",
    "LogFault": "storage.verify",
    "Database": "engine.database",
    "Delivery": "runtime.clients.batch_writer",
    "Description": "engine.results",
    "Advance": "engine.long_work",
    "listening": "engine.long_work",
    "Flow": "engine.flow_picture",
    "FlowBox": "engine.flow_picture",
    "LiveRows": "engine.live_rows",
    "GroupDescription": "runtime.clients.groups",
    "GroupMetadata": "runtime.clients.coordinator",
    "InternalError": "errors",
    "Listing": "engine.results",
    "Message": "engine.results",
    "OffsetOutOfRangeError": "errors",
    "OutOfOrderSequenceError": "errors",
    "PenstockError": "errors",
    "PrintResult": "engine.results",
    "PrintedRecord": "engine.results",
    "Producer": "runtime.clients.producer",
    "ProducerFencedError": "errors",
    "ProducerTransaction": "runtime.clients.producer",
    "PushBatch": "runtime.subscriptions",
    "PushResult": "engine.results",
    "PushRow": "engine.results",
    "Relation": "engine.relation",
    "RepairPlan": "storage.repair",
    "QueryHandle": "engine.database",
    "RawRecord": "runtime.clients.records",
    "Result": "engine.results",
    "Session": "engine.session",
    "Server": "server.serving",
    "ServerConfig": "server.config",
    "StatementError": "errors",
    "StorageError": "errors",
    "Submitted": "engine.results",
    "Subscription": "runtime.subscriptions",
    "Table": "engine.results",
    "Token": "runtime.host",
    "UnsupportedError": "errors",
    "KafkaListener": "listener.kafka_listener",
    "backup_directory": "storage.backup",
    "broker": "listener.kafka_listener",
    "connect": "server.connecting",
    "inspect_directory": "storage.log.local.maintenance.report",
    "plan_repair": "storage.repair",
    "verify_directory": "storage.verify",
    "run_test": "engine.script_tests",
    "serve": "server.serving",
    "read_tests": "engine.script_tests",
    "udaf": "engine.functions.user",
    "udf": "engine.functions.user",
    "udtf": "engine.functions.user",
}

__all__ = [
    "ManualClock",
    "AsyncDatabase",
    "AsyncSubscription",
    "StreamHandle",
    "TableHandle",
    "connect_async",
    "AssertionFailedError",
    "Backup",
    "BufferExhaustedError",
    "ClientError",
    "CommitFailedError",
    "ConsumedBatch",
    "Consumer",
    "DataError",
    "LogFault",
    "Database",
    "Delivery",
    "Description",
    "Advance",
    "Flow",
    "FlowBox",
    "LiveRows",
    "listening",
    "GroupDescription",
    "GroupMetadata",
    "InternalError",
    "Listing",
    "Message",
    "OffsetOutOfRangeError",
    "OutOfOrderSequenceError",
    "PenstockError",
    "PrintResult",
    "PrintedRecord",
    "Producer",
    "ProducerFencedError",
    "ProducerTransaction",
    "PushBatch",
    "PushResult",
    "PushRow",
    "QueryHandle",
    "RawRecord",
    "Relation",
    "RepairPlan",
    "Result",
    "Session",
    "Server",
    "ServerConfig",
    "StatementError",
    "StorageError",
    "Submitted",
    "Subscription",
    "Table",
    "Token",
    "UnsupportedError",
    "KafkaListener",
    "backup_directory",
    "broker",
    "connect",
    "inspect_directory",
    "plan_repair",
    "verify_directory",
    "run_test",
    "read_tests",
    "serve",
    "udaf",
    "udf",
    "udtf",
]


_EXTRAS = {"listener.kafka_listener": "broker", "server.serving": "server"}
"""The modules that need the packages of an extra, and the name of the extra."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if name in ("dbapi", "testing"):
        return importlib.import_module(f"penstock.{name}")
    if home is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"penstock.{home}")
    except ModuleNotFoundError as error:
        if home not in _EXTRAS or (error.name or "penstock").startswith("penstock"):
            raise
        from .errors import StatementError

        raise StatementError(
            f"penstock.{name} needs a package that is not installed: {error.name}",
            suggestion=f"pip install 'penstock[{_EXTRAS[home]}]'",
        ) from None
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
