// Placeholder so that the room builds.
