"""The classic faces: what websocket-client's users know, under the same names.

``WebSocketApp`` (app, app_run, app_socket, app_trace, callbacks) runs on the reactor; ``WebSocket``
and ``create_connection`` (client, client_connect, client_socket, blocking) in the thread of whoever
calls. abnf and frame have its vocabulary; options and watch translate to ours, errors and
socks_errors back; defaults, trace and cookies are its settings.

compat puts the package websocket/ in the place of websocket-client. legacy, legacy_http,
legacy_handshake and legacy_dispatcher have what is in its private modules only; patching, steps,
app_steps and app_pings give what a program puts into them, or overrides, its effect.
"""
