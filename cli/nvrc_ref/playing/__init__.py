"""The player for browsers: its files, a server for one stream, and a page that has the stream inside."""
