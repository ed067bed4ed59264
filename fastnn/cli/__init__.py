"""The command line: `main` chooses a command, each is a module, `options` has what they share."""
