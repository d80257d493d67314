"""`python -m registry` is `sidecargo`."""

from registry.cli.main import main

if __name__ == "__main__":
    main()
