"""What people see of an evaluation: the table in the terminal and the page."""
