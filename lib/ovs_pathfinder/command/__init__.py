"""The command for operators: `juju` finds and asks units, `engine` and `sweep` say what is asked, `cli` is the face."""
