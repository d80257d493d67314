"""Quotas: how many bytes some repositories may hold together, refused before they are taken.

- `ledger` is the sum and what is open of it, `book` keeps it in the store by compare-and-swap.
- `account` is what pushes ask; `accounted` is a driver that keeps the books of whatever it writes.
- `counting` makes the sum anew out of what is there.
"""
