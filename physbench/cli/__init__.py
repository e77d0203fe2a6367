"""The command line: a file for a noun or some verbs (`main.COMMANDS`) that parses, calls the engine and prints.

`main.run` executes one command line and returns its exit code. Data goes to stdout, progress and notes to stderr.
"""
