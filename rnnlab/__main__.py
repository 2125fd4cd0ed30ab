"""`python -m rnnlab` is the command `rnnlab`."""

from rnnlab.cli.entry import main

if __name__ == "__main__":
    main()
