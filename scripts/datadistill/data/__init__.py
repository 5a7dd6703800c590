"""Images, annotations and videos -> splits."""
