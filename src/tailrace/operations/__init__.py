"""What commands do: logic without a terminal, so that a console can call it too."""
