"""Rewriting of addresses in the bodies of responses, where the browser needs other ones. Pure.

A workspace serves the path that it got when it started. If the server's base URL is another one, or
the workspace's kind removes the path prefix, `content_types.rewriter` chooses a rewriter for the
body: HTML (`html_rewriter`, on `html_tokenizer`), scripts and style sheets (`addresses`), or the
list of kernels (`kernelspecs`, on `json_rewriter`). All of them are incremental and take linear
time.
"""
