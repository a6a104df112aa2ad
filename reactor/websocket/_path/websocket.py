"""What ``import websocket`` finds first in a process that multiprocessing has spawned.

Such a process has the ``sys.path`` of the one that ``python -m reactor.websocket`` has started, and
nothing else of it. The import system gives what is in ``sys.modules`` when this module has run: our
package.
"""

import reactor

reactor.install_as_websocket()
