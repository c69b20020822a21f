"""What happens to a clip, in order: prepare, submit, fetch, conform, deliver; and the runner that leads jobs through it."""
