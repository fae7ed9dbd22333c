"""kraken's trainings and tests as a child process: its settings are a JSON file, its reports are lines of output."""
