# oncekit_add_plugin: one shared library oncekit_NAME.so that holds any number of components.
#
#   oncekit_add_plugin(NAME nrms
#     COMPONENTS content_encoder/nrms user_encoder/nrms    # exactly what it registers: read without loading the library
#     SOURCES plugin.cpp content_encoder.cpp user_encoder.cpp
#     [LIBRARIES ZLIB::ZLIB ...]                           # what else it links to
#     [TIER0])                                             # datasets and augmenters: no torch::nn, compiles in seconds
#
# Sets visibility, run path (never RUNPATH), -z nodelete, and the stamp that oncekit compares before it loads the file.
# The target is plugin_NAME. In oncekit's own tree the library goes to BUILD/plugins, elsewhere into the build folder.

set(_oncekit_stamp_script "${CMAKE_CURRENT_LIST_DIR}/stamp.cmake")

# Adds to TARGET a source with its stamp. NAME "" means the host.
function(oncekit_add_stamp target name components)
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${target}_stamp.cpp")
  get_target_property(headers oncekit::core ONCEKIT_HEADERS)
  list(JOIN components "," components)
  # The glob is watched: a header added to the SDK changes the hash too.
  file(GLOB files CONFIGURE_DEPENDS "${headers}/*.h")
  add_custom_command(OUTPUT "${out}.checked" BYPRODUCTS "${out}"
    COMMAND "${CMAKE_COMMAND}" "-DHEADERS=${headers}" "-DTORCH=${LibTorch_FULL_VERSION}" "-DNAME=${name}"
      "-DCOMPONENTS=${components}" "-DOUT=${out}" -P "${_oncekit_stamp_script}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${out}.checked"
    DEPENDS ${files} "${_oncekit_stamp_script}" COMMENT "" VERBATIM)
  target_sources(${target} PRIVATE "${out}" "${out}.checked")
  set_source_files_properties("${out}" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()

function(oncekit_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "TIER0" "NAME" "COMPONENTS;SOURCES;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "oncekit_add_plugin: unknown argument '${arg_UNPARSED_ARGUMENTS}'; expected NAME, COMPONENTS, SOURCES, "
      "LIBRARIES, TIER0")
  endif()
  foreach(needed NAME COMPONENTS SOURCES)
    if(NOT arg_${needed})
      message(FATAL_ERROR "oncekit_add_plugin: ${needed} is missing")
    endif()
  endforeach()
  foreach(component IN LISTS arg_COMPONENTS)
    if(NOT component MATCHES "^(dataset|augmenter|content_encoder|user_encoder|interaction)/[a-z0-9_]+$")
      message(FATAL_ERROR "oncekit_add_plugin(${arg_NAME}): component '${component}' is not KIND/NAME with KIND one of dataset, "
        "augmenter, content_encoder, user_encoder, interaction, and NAME in small letters, digits and _")
    endif()
  endforeach()

  set(target plugin_${arg_NAME})
  add_library(${target} MODULE ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME oncekit_${arg_NAME} SUFFIX .so
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON
    INSTALL_RPATH "$ORIGIN/../..;${LibTorch_LIB_DIR}")
  if(ONCEKIT_PLUGIN_OUTPUT)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${ONCEKIT_PLUGIN_OUTPUT}")
    add_dependencies(oncekit_plugins ${target})
    set_property(GLOBAL APPEND PROPERTY ONCEKIT_PLUGIN_TARGETS ${target})
  endif()
  target_link_libraries(${target} PRIVATE oncekit::core $<IF:$<BOOL:${arg_TIER0}>,torch::aten,torch::torch> ${arg_LIBRARIES})
  # nodelete: an object or exception that outlives its library is a crash. defs: a missing symbol fails here, not at a user's
  # (a sanitizer's own symbols are the program's).
  target_link_options(${target} PRIVATE -Wl,-z,nodelete -Wl,--disable-new-dtags)
  if(NOT ONCEKIT_SANITIZE AND NOT "${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  oncekit_add_stamp(${target} ${arg_NAME} "${arg_COMPONENTS}")
  if(TARGET oncekit_torch_pch)  # in our own tree
    target_link_libraries(${target} PRIVATE oncekit_flags)
    if(NOT arg_TIER0)
      target_precompile_headers(${target} REUSE_FROM oncekit_torch_pch)
    endif()
  endif()
endfunction()
