"""What a step of training draws: which positions, stems and streams carry how much noise."""
