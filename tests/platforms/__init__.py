"""Run the README's commands in fresh roots of Debian releases, as a user would."""
