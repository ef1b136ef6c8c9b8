"""The octree context model: schedules, contexts, context network, grid walker (spec chapter 5)."""
