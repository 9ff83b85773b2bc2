"""How metrics answer to known changes: one knob at a time, on films whose truth is known."""
