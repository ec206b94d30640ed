"""The local cluster's API server: a Kubernetes API over a store in SQLite.

`http/server.py` has the server. It dispatches requests to `http/rest.py`, which calls the engine in
`objects/`. The engine checks writes and commits them to `store/`. `access/` authenticates and
authorizes requests, `definitions/` adds the kinds of CRDs, `openapi/` describes the API, `tables/`
formats objects for kubectl, and `pods/` connects clients to the node.
"""
