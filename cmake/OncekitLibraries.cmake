# Third-party libraries, all from Debian or Ubuntu packages. ./oncekit installs what is missing.

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS filesystem)
find_package(ZLIB REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)

# Sets up target NAME for a library that has no CMake package.
function(_oncekit_library target header library package)
  find_path(${library}_INCLUDE ${header})
  find_library(${library}_LIBRARY ${library})
  mark_as_advanced(${library}_INCLUDE ${library}_LIBRARY)
  if(NOT ${library}_INCLUDE OR NOT ${library}_LIBRARY)
    message(FATAL_ERROR "${header} or lib${library} not found: install the package ${package}")
  endif()
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${${library}_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${${library}_INCLUDE}")
endfunction()
_oncekit_library(pcre2::pcre2 pcre2.h pcre2-8 libpcre2-dev)
_oncekit_library(sentencepiece::sentencepiece sentencepiece_processor.h sentencepiece libsentencepiece-dev)

find_path(NLOHMANN_JSON_INCLUDE nlohmann/json.hpp)
find_path(CATCH2_V2_INCLUDE catch2/catch.hpp)
mark_as_advanced(NLOHMANN_JSON_INCLUDE CATCH2_V2_INCLUDE)
if(NOT NLOHMANN_JSON_INCLUDE)
  message(FATAL_ERROR "nlohmann/json.hpp not found: install the package nlohmann-json3-dev")
endif()
