"""What Algorail ships for its users' tests."""
