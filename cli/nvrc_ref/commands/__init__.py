"""One module for each sub-command: it parses options, calls the packages that do the work, and prints the result."""
