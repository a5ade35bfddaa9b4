"""What an operator or an auditor asks a Pulse installation from the command line."""
