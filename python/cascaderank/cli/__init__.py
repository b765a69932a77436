"""The command line: arguments in, text out. What it does, the library can do too."""
