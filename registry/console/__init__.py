"""What every command shares: how it fails, and what reaches the terminal."""
