"""The human study as a program: files in, a page for raters, a report out. Its maths are in `evaluation`."""
