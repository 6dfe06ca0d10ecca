"""How often each row is put to the test on a booted machine: a little in `make vm-test`, more on request.

A row's amount is set by the environment (R6=200). What they count: of R5 power cuts, of R6 pulls, of R12 rounds with
two to four sticks, of R13 plugs, of R14 restarts of a neighbour.
"""

import os
from types import MappingProxyType

SOME = MappingProxyType({"R5": 3, "R6": 4, "R12": 3, "R13": 5, "R14": 4})
FULL = MappingProxyType({"R5": 50, "R6": 200, "R12": 50, "R13": 200, "R14": 100})


def amount(row: str) -> int:
    return int(os.environ.get(row) or SOME[row])
