"""Where content lives: digests and names, objects and keys, blobs, manifests, tags and referrers."""
