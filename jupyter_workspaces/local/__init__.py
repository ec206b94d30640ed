"""The local cluster: wires `localkube`, the workspace controller and the sample kinds together.

`launch` starts, finds, stops and resets it; `process` is what runs in its process.
"""
