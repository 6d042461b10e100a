"""What a block is: its kind, its ports, how it is called. It knows no particular block."""
