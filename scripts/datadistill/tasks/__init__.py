"""What differs between tasks, one module each; `task` is the interface, `task.get_task` the registry."""
