"""The module that ``import websocket`` finds first in a process spawned by multiprocessing.

Such a process gets the ``sys.path`` of the process that ``python -m reactor.websocket`` has
started, and nothing else of it. The import system returns what is in ``sys.modules`` after this
module has run: our package.
"""

import reactor

reactor.install_as_websocket()
