"""The command line: one file per subcommand; heavy imports happen inside the commands."""
