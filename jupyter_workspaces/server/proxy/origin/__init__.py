"""Workspaces at an origin of their own (`workspaces_url`): sign-in, sessions and routes.

Pages of workspaces at the Jupyter server's origin could act as the user there. At another origin
they cannot. A browser signs in to a workspace at that origin by redirects with one-time tickets:

1. Server, the workspace's URL: it authorizes the user and redirects to the workspaces' origin, with
   a ticket of step `begin`.
2. Workspaces' origin: it sets the state cookie, which only this browser has, and redirects to the
   server with a ticket of step `return`.
3. Server: it identifies the user, and redirects to the workspaces' origin with a ticket of step
   `enter`, valid only with that cookie.
4. Workspaces' origin: it sets the session cookie, and redirects to the requested URL.

So a ticket that another person requested opens nothing in this browser (login CSRF, as prevented by
OAuth's `state`, RFC 6749 §10.12). `docs/workspaces-url.md` describes the set-up.

Modules: `workspaces_url` (the setting), `separate_origin` (shared state), `sessions` (tickets and
sessions), `server_handlers` (steps 1 and 3), `sign_in_handler` (steps 2 and 4),
`workspace_handlers` (the workspaces), `routes` and `listener`.
"""
