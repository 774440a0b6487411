"""The tree of a script: frozen dataclasses, one per form of the dialect, each with a span.

Names hold the text that a name stands for: the parser makes unquoted identifiers upper case, quoted ones keep their case.
Spans take no part in equality, so ``parse(unparse(tree)) == tree``.
"""

from .nodes import *  # noqa: F403
from .queries import *  # noqa: F403
from .statements import *  # noqa: F403
