"""What flask-smorest cannot know of the routes: examples, errors, headers, streams and files."""
