"""PEP 249 (DB-API) over a database: ``penstock.dbapi.connect("shop.db").cursor()``."""

from .connection import Connection as Connection
from .connection import connect as connect
from .cursor import Cursor as Cursor
from .errors import DatabaseError as DatabaseError
from .errors import DataError as DataError
from .errors import Error as Error
from .errors import IntegrityError as IntegrityError
from .errors import InterfaceError as InterfaceError
from .errors import InternalError as InternalError
from .errors import NotSupportedError as NotSupportedError
from .errors import OperationalError as OperationalError
from .errors import ProgrammingError as ProgrammingError
from .errors import Warning as Warning
from .types import BINARY as BINARY
from .types import DATETIME as DATETIME
from .types import NUMBER as NUMBER
from .types import ROWID as ROWID
from .types import STRING as STRING
from .types import Binary as Binary
from .types import Date as Date
from .types import DateFromTicks as DateFromTicks
from .types import Time as Time
from .types import TimeFromTicks as TimeFromTicks
from .types import Timestamp as Timestamp
from .types import TimestampFromTicks as TimestampFromTicks

apilevel = "2.0"
threadsafety = 2  # threads may share the module and connections
paramstyle = "qmark"
