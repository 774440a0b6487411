"""The tree of a script: frozen dataclasses, one for each form of the dialect.  Each node has a span.

Names are the texts that they stand for: the parser makes names without quotes upper case, and quoted ones keep their case.
Spans are not compared for equality, so ``parse(unparse(tree)) == tree``.
"""

from .nodes import *  # noqa: F403
from .queries import *  # noqa: F403
from .statements import *  # noqa: F403
