"""Garbage collection, online: what nobody names goes, in an order in which nothing that is named can.

- `collector` is the run: all repositories, then the bytes that they share, then the trash.
- `manifests`, `links`, `contents` are its three kinds of work, each: take away, look again, put back.
- `retention` says which tags go; `graph` what is reached; `marks` keeps both on a temporary file.
- `lease` says whose turn it is, where several servers share a store.
"""
