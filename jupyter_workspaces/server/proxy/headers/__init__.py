"""Headers of proxied requests and responses: which are forwarded, and how they are changed. Pure.

`request_headers` and `response_headers` build the two lists. They use the table of fields with
addresses (`address_fields`), the filter of credentials and cookies (`credentials`, `cookies`) and
the rules for headers of reverse proxies in front of this server (`front_proxies`).
"""
