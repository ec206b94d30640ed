"""Tornado handlers of the proxy. Only modules here and in `origin` know Tornado's handlers.

Base classes, each built on the one before: `error_responses` (errors as pages or JSON), `access`
(authentication and authorization) and `base` (the workspace's target). Handlers: `http`,
`websocket`, `status` (for placeholder pages) and `tab_notice` (for the notice in open tabs).
"""
