"""What children that train share: how they speak, how they are stopped, how they write. Standard library alone."""
