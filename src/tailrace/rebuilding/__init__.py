"""A second set of tables beside the live one, filled from the log by the ordinary sink, and the switch between them."""
