# Small plugins for the tests of the plugin host, good and bad, each in a folder of its own: BUILD/tests/plugins/CASE.

set(_fixtures "${CMAKE_CURRENT_LIST_DIR}/fixtures")

# One case: fixture.cpp compiled with -DCASE_<NAME>. STAMP names a stamp source; without it oncekit_add_plugin makes the real one.
function(_oncekit_fixture case)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_STAMP;UNRESOLVED" "STAMP;FILE" "COMPONENTS")
  set(target fixture_${case})
  if(NOT arg_FILE)
    set(arg_FILE fixture.cpp)
  endif()
  if(arg_STAMP OR arg_NO_STAMP)
    add_library(${target} MODULE "${_fixtures}/${arg_FILE}" ${arg_STAMP})
    set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME oncekit_${case} SUFFIX .so CXX_VISIBILITY_PRESET hidden)
    target_link_libraries(${target} PRIVATE oncekit::core torch::aten)
  else()
    set(ONCEKIT_PLUGIN_OUTPUT "")
    oncekit_add_plugin(NAME ${case} COMPONENTS ${arg_COMPONENTS} SOURCES "${_fixtures}/${arg_FILE}" TIER0)
    set(target plugin_${case})
    if(arg_UNRESOLVED)
      target_link_options(${target} PRIVATE -Wl,-z,undefs)
    endif()
  endif()
  string(TOUPPER ${case} upper)
  target_compile_definitions(${target} PRIVATE CASE_${upper} CASE_NAME="${case}")
  set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/plugins/${case}")
  add_dependencies(test_plugin ${target})
endfunction()

_oncekit_fixture(good COMPONENTS dataset/good dataset/fails)
_oncekit_fixture(shadow COMPONENTS dataset/good dataset/other)
_oncekit_fixture(wrong_name COMPONENTS dataset/good)
_oncekit_fixture(unstated COMPONENTS dataset/good)
_oncekit_fixture(missing COMPONENTS dataset/good dataset/absent)
_oncekit_fixture(throws COMPONENTS dataset/good)
_oncekit_fixture(twice COMPONENTS dataset/good)
_oncekit_fixture(no_entry COMPONENTS dataset/good)
_oncekit_fixture(unresolved COMPONENTS dataset/good UNRESOLVED)
_oncekit_fixture(no_stamp NO_STAMP)

# Plugins of another oncekit and another LibTorch: the real stamp script on changed headers, and on another version.
get_target_property(_headers oncekit::core ONCEKIT_HEADERS)
file(GLOB _header_files CONFIGURE_DEPENDS "${_headers}/*.h")
set(_stamps "")
foreach(case other_sdk other_torch other_comment)
  set(_stamp "${CMAKE_CURRENT_BINARY_DIR}/${case}_stamp.cpp")
  add_custom_command(OUTPUT "${_stamp}"
    COMMAND "${CMAKE_COMMAND}" "-DCASE=${case}" "-DHEADERS=${_headers}" "-DTORCH=${LibTorch_FULL_VERSION}"
      "-DSCRIPT=${PROJECT_SOURCE_DIR}/cmake/stamp.cmake" "-DOUT=${_stamp}" -P "${_fixtures}/stamps.cmake"
    DEPENDS ${_header_files} "${PROJECT_SOURCE_DIR}/cmake/stamp.cmake" "${_fixtures}/stamps.cmake" COMMENT "" VERBATIM)
  _oncekit_fixture(${case} STAMP "${_stamp}")
endforeach()

# One that is linked to a LibTorch whose file name carries a version, as Debian's does.
add_library(fixture_libtorch SHARED "${_fixtures}/other_libtorch.cpp")
set_target_properties(fixture_libtorch PROPERTIES OUTPUT_NAME torch_cpu SOVERSION 1.13 LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/plugins/libtorch")
_oncekit_fixture(other_needed COMPONENTS dataset/good)
target_link_options(plugin_other_needed PRIVATE -Wl,--no-as-needed)
target_link_libraries(plugin_other_needed PRIVATE fixture_libtorch)
