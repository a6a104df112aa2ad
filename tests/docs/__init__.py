"""The documentation: its code runs, its tables are those of the code."""
