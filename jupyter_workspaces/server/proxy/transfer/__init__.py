"""Transfer of bytes between browsers and workspaces, without any decision about access.

Connections (`direct`, `port_forward`), requests (`raw_request`, `body_stream`, `response_wait`),
checks of messages (`http_checks`), and WebSockets (`websocket_handshake`, `websocket_frames`,
`websocket_relay`).
"""
