"""The command line: it parses and presents, and decides nothing. main.py lists the commands; each has a file of its own."""
