"""Content in a bucket: the driver, and what it is made of.

- `driver` is the `storage.driver.Driver`; `client` makes its calls, `errors` says what a failure means.
- `writes` are writes under a condition, in parts, and copies; `staging`, `writer` and `form` are uploads.
- `probe` looks at the start whether a store honours what all of it relies on.
"""
