"""Imported last by the server that processes are forked from: what it holds is no garbage.

A process that looked through it for garbage would copy all of it: a seventh of a second each.
"""

import gc

gc.freeze()
