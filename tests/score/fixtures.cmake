# The trainer's small world.
target_sources(test_score PRIVATE train/tiny.cpp)
