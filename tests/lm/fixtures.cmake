# The families themselves, for tests below the encoder: their plugins hide them.
target_sources(test_lm PRIVATE "${PROJECT_SOURCE_DIR}/plugins/llama/llama.cpp" "${PROJECT_SOURCE_DIR}/plugins/llama/rotary.cpp"
  "${PROJECT_SOURCE_DIR}/plugins/bert/bert.cpp")
target_include_directories(test_lm PRIVATE "${PROJECT_SOURCE_DIR}/plugins" "${PROJECT_SOURCE_DIR}")
