"""The command line: it parses arguments and prints results. main.py lists the commands; each has its own file."""
