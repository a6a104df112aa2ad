"""The classic faces: what websocket-client's users know, under the same names.

``WebSocketApp`` (app, app_run, app_socket, app_trace, callbacks) runs on the reactor; ``WebSocket``
and ``create_connection`` (client, client_connect, client_socket, blocking) in the thread of whoever
calls. abnf and frame have its vocabulary; options and watch translate to ours, errors back;
defaults, trace and cookies are its settings; compat and legacy have the names of its private
modules.
"""
