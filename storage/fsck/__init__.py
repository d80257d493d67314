"""The check of a store: what is wrong in it, named object by object, and mended where nothing is lost by it.

It works beside servers that write: what looks wrong is looked at again later, and counts only where its
object is the same as before and still wrong. Whatever is taken away rests in the trash.
"""
