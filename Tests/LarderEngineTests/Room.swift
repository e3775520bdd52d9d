// Placeholder so that the suite builds.
