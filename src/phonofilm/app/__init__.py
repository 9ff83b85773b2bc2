"""The rooms people enter: the command line, later the server and its pages. Arguments and output, no maths."""
