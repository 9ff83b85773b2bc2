"""Films that are watched while they are made: at the command line, through pipes and in the browser."""
