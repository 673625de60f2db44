# Some tests meddle with the store's file, as other programs might.
target_link_libraries(test_answers PRIVATE SQLite::SQLite3)
